"""The table of primitives: how channels flow through each, and how it is rebuilt."""

from jaxcompress.network.primitives import (
    contraction,
    elementwise,
    indexing,
    reduction,
    shape,
)
from jaxcompress.network.primitives.rule import Rule, opaque

TABLE: dict[str, Rule] = {
    **elementwise.RULES,
    **shape.RULES,
    **contraction.RULES,
    **reduction.RULES,
    **indexing.RULES,
    "cond": Rule(opaque("control flow ({name}) is kept as it is")),
    "while": Rule(opaque("control flow ({name}) is kept as it is")),
}
UNKNOWN = Rule(opaque("primitive {name} is not known"))


def rule_of(name: str) -> Rule:
    """Returns what the table says of a primitive; an unknown one freezes its axes."""
    return TABLE.get(name, UNKNOWN)
