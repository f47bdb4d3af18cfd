"""A user's own code, which a configuration names as `module:function`."""

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

TFDS = "tfds:"  # of names of data sets, which are no functions


def is_function(name: str) -> bool:
    """Returns whether a configured name is `module:function`."""
    return ":" in name and not name.startswith(TFDS)


def user_function(key: str, name: str) -> Callable[..., Any]:
    """Returns the function that a configuration names.

    Args:
        key: of the configuration, for messages.
        name: `module:function`; modules are looked for in the working directory first,
            then where Python finds them.

    Raises:
        ValueError: the module cannot be imported, or has no such function.

    Example:
        >>> user_function("loss", "math:sqrt")(9.0)
        3.0
    """
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(f"{key} = {name!r}: {_said(error)}") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        there = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise ValueError(
            f"{key} = {name!r}: module {module_name} has no function {attribute!r}; it "
            f"has {sorted(there)}"
        )
    return function


def called(key: str, name: str) -> Any:
    """Returns what the function that a configuration names returns, without arguments.

    Raises:
        ValueError: it cannot be found, or fails; the message says with what.
    """
    function = user_function(key, name)
    try:
        return function()
    except Exception as error:
        raise ValueError(f"{key} = {name!r}: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Returns what an error says, and the last line of code that it went through."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    files = [frame for frame in frames if not frame.filename.startswith("<")]
    if not files or files[-1].filename == importlib.__file__:
        return f"{type(error).__name__}: {error}"
    name = Path(files[-1].filename).name
    return f"{type(error).__name__}: {error} ({name}, line {files[-1].lineno})"
