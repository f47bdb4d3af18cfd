"""A part of a configuration: frozen, and it refuses what it does not know."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Section(BaseModel):
    """A frozen part of a configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(_explained(error, type(self))) from None


def _explained(error: ValidationError, section: type[BaseModel]) -> str:
    """Returns every problem in one line: the key, the value, what is allowed."""
    parts = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            parts.append(f"unknown key {key}; allowed: {', '.join(section.model_fields)}")
        elif isinstance(problem["input"], dict):  # a section that said what is wrong
            parts.append(": ".join(filter(None, (key, message.removeprefix(": ")))))
        else:
            parts.append(f"{key} = {problem['input']!r}: {message[0].lower()}{message[1:]}")
    return "; ".join(parts)
