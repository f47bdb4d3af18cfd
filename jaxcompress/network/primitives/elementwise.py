"""Primitives that work element by element: equal axes live together."""

from jax.extend.core import JaxprEqn

from jaxcompress.network.axes import Axes, assemble, fresh
from jaxcompress.network.nodes import Nodes
from jaxcompress.network.primitives.rule import Rule, result_shapes, shape_of
from jaxcompress.network.unite import unite


def elementwise(nodes: Nodes, eqn: JaxprEqn, ins: list[Axes]) -> list[Axes]:
    """Unites the axes of all operands; scalars and axes of size 1 carry nothing."""
    shape = shape_of(eqn)
    operands = [axes for axes in ins if axes.ndim == len(shape)]
    if not operands or not shape:
        return [fresh(nodes, shape) for shape in result_shapes(eqn)]
    result = operands[0]
    for other in operands[1:]:
        if other is result:
            continue
        common = [d for d in range(len(shape)) if result.legs[d] and other.legs[d]]
        reason = f"{eqn.primitive.name} of unlike axes"
        result, other = unite(nodes, result, common, other, common, reason)
        if any(other.legs[d] and not result.legs[d] for d in range(len(shape))):
            picks = [(0 if result.legs[d] else 1, d) for d in range(len(shape))]
            result = assemble(nodes, [result, other], picks)
    return [result for _ in eqn.outvars]


NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e
    cbrt ceil clamp clz conj convert_element_type copy copy_p
    cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma
    igammac imag integer_pow is_finite le lgamma log log1p logistic lt max
    min mul ne neg nextafter not or polygamma population_count pow real
    reduce_precision regularized_incomplete_beta rem round rsqrt select_n
    shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square
    stop_gradient sub tan tanh xor zeta name
""".split()

RULES = {name: Rule(elementwise) for name in NAMES}
RULES["optimization_barrier"] = Rule(lambda nodes, eqn, ins: ins)
