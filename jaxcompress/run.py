"""The command line: `python -m jaxcompress.run [--config NAME] [--section.option VALUE]`.

Train or load, trace, search, fine-tune, compact, save and judge, as one configuration says.
"""

import contextlib
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from jaxcompress.config import Config, bundled, find, read
from jaxcompress.pipeline import run

DEFAULT = "digits"
USAGE = """\
usage: python -m jaxcompress.run [--config FILE_OR_NAME] [--profile FILE_OR_NAME]
                                 [--out DIR] [--OPTION VALUE ...]

--config  a YAML file, or the name of a bundled configuration (default: digits):
          {configs}
--profile what a device can do, as a YAML file of the same form whose values replace the
          configuration's, or the name of a bundled one: {profiles}
--out     the run directory, new or empty (default: runs/NAME-DATE-TIME)

Every value of the configuration is an option; the defaults below are those of the chosen
configuration.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit code: 0, 2 after one line on standard error when something that the user
        gave is wrong, 130 after an interruption.
    """
    logging.getLogger("absl").setLevel(logging.ERROR)  # readers log what we say better
    arguments = list(sys.argv[1:] if argv is None else argv)
    width = None if sys.stdout.isatty() else 160
    console = Console(width=width)
    try:
        name = _taken(arguments, "--config") or DEFAULT
        out = _taken(arguments, "--out")
        profile = _taken(arguments, "--profile")
        chosen = read(find(name), find(profile, "profiles") if profile else None)
        config = _overridden(chosen, arguments)
        outcome = run(config, Path(out) if out else None, console)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the unfinished run directory was removed", file=sys.stderr)
        return 130
    console.print(str(outcome.directory), highlight=False, soft_wrap=True)
    return 0


def _taken(arguments: list[str], option: str) -> str | None:
    """Removes `--option VALUE` or `--option=VALUE` from the arguments."""
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return arguments.pop(place).partition("=")[2]
        if argument == option:
            if place + 1 == len(arguments):
                raise ValueError(f"{option} needs a value")
            del arguments[place]
            return arguments.pop(place)
    return None


def _overridden(config: Config, arguments: list[str]) -> Config:
    """Returns the configuration with the options of the command line."""
    if {"-h", "--help"} & set(arguments):
        known = {name: ", ".join(bundled(name)) for name in ("configs", "profiles")}
        print(USAGE.format(**known))
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                Config, default=config, args=arguments, prog="python -m jaxcompress.run"
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        # The parser draws a box: keep the words inside.
        lines = [line.strip("│ ") for line in said.getvalue().splitlines()]
        inside = [line for line in lines if line and line[0] not in "╭╰─"]
        text = " ".join(inside).partition("For full helptext")[0]
        raise ValueError(f"{text.strip()} (see --help)") from None


if __name__ == "__main__":
    sys.exit(main())
