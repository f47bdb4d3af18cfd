"""The command line: `python -m jaxcompress.run [--config NAME] [--section.option VALUE]`.

`--resume DIR` goes on with a run that was stopped. Started once on each of many machines it
is one run: the search is spread over all their devices, and one process writes and prints.

Train or load, trace, search, fine-tune, compact, save and judge, as one configuration says.
"""

import contextlib
import io
import logging
import os
import re
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import tyro
from rich.console import Console

from jaxcompress.config import Config
from jaxcompress.config_file import bundled, find, presets, read
from jaxcompress.pipeline import resume, run
from jaxcompress.processes import SaidByFirst, from_first, is_first, joined, stop_all
from jaxcompress.run_directory import CONFIG, configuration, new_path
from jaxcompress.search import AtSignal, cores_as_devices

DEFAULT = "digits"
OPTION = r"(?<!\S)--[\w.-]+"
USAGE = """\
usage: python -m jaxcompress.run [--config FILE_OR_NAME] [--preset NAME]
                                 [--profile FILE_OR_NAME] [--out DIR] [--OPTION VALUE ...]
       python -m jaxcompress.run --resume DIR [--search.generations N]

--config  a YAML file, or the name of a bundled configuration (default: digits):
          {configs}
--preset  one of the sets of values that the configuration has under `presets`, such as
          small: they replace its own; several as small,ours: later ones count
          (of this configuration: {presets})
--profile what a device can do, as a YAML file of the same form whose values replace the
          configuration's, or the name of a bundled one: {profiles}
--out     the run directory, new or empty (default: runs/NAME-DATE-TIME)
--resume  the directory of a run that was stopped, or that shall have more generations

--coordinator HOST:PORT --processes N --process-id I
          one run on many machines, this being process I and HOST that of process 0; on
          Cloud TPU, SLURM and Open MPI they are found without. --processes 1: run alone

Every value of the configuration is an option; the defaults below are those of the chosen
configuration.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    At SIGTERM, SIGINT or SIGHUP the process leaves a checkpoint, says so in one line and
    exits at once, with 143, 130 or 129.

    Returns:
        The exit code: 0, or 2 after one line on standard error when something that the
        user gave is wrong or a file cannot be written.
    """
    # Readers and writers of files log what we say better.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    arguments = list(sys.argv[1:] if argv is None else argv)
    width = None if sys.stdout.isatty() else 160
    console = Console(width=width)
    places: list[Path] = []
    try:
        # A caller inside Python may have used its devices: too late for these two.
        if argv is None:
            cores_as_devices()
        others = joined(*_others(arguments), detect=argv is None)
        with AtSignal(lambda number: _leave(number, console, places)), others:
            console.quiet = not is_first()
            return _main(arguments, console, places)
    except SaidByFirst:
        return 2
    except BrokenPipeError:  # nobody reads on, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _main(arguments: list[str], console: Console, places: list[Path]) -> int:
    """Runs; `places` learns where, before anything is written there."""
    name = _taken(arguments, "--config")
    out = _taken(arguments, "--out")
    profile = _taken(arguments, "--profile")
    preset = _taken(arguments, "--preset")
    old = _taken(arguments, "--resume")
    if old is not None and (out, profile, preset) != (None, None, None):
        raise ValueError(
            f"--resume {old}: a run stays in its directory, and with its profile and "
            "preset; leave --out, --profile and --preset out"
        )

    def asked() -> tuple[Config, Path]:
        if old is not None:
            before = read(find(name)) if name else configuration(Path(old))
            return _overridden(before, arguments), Path(old)
        chosen = find(name or DEFAULT), find(profile, "profiles") if profile else None
        known = presets(chosen[0])
        config = _overridden(read(*chosen, preset), arguments, known)
        return config, Path(out) if out else new_path(config)

    # Other machines need no copy of the files, and have other clocks.
    config, place = from_first(asked)
    places.append(place)
    go = run if old is None else resume
    outcome = go(config, place, console)
    if outcome is None:
        said = f"{old}: is finished; a larger --search.generations goes on"
    else:
        said = str(outcome.directory)
    console.print(said, highlight=False, soft_wrap=True)
    return 0


def _leave(number: int, console: Console, places: list[Path]) -> None:
    """Ends the process; what was worth it is saved."""
    said = "nothing was written"
    if places and (places[0] / CONFIG).is_file():
        said = f"go on with: python -m jaxcompress.run --resume {places[0]}"
    with contextlib.suppress(OSError):  # the terminal may be gone
        console.show_cursor(True)
        if is_first():
            name = signal.Signals(number).name
            print(f"stopped by {name}; {said}", file=sys.stderr, flush=True)
    stop_all(number)
    os._exit(128 + number)


def _others(arguments: list[str]) -> tuple[str | None, int | None, int | None]:
    """Removes from the arguments how many processes there are, and which this is."""
    coordinator = _taken(arguments, "--coordinator")

    def number(option: str) -> int | None:
        given = _taken(arguments, option)
        if given is not None and not given.isdecimal():
            raise ValueError(f"{option} {given}: allowed is a whole number, 0 or more")
        return None if given is None else int(given)

    return coordinator, number("--processes"), number("--process-id")


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


def _overridden(config: Config, arguments: list[str], known: Iterable[str] = ()) -> Config:
    """Returns the configuration with the options of the command line.

    Args:
        known: presets, for --help.
    """
    if {"-h", "--help"} & set(arguments):
        names = {name: ", ".join(bundled(name)) for name in ("configs", "profiles")}
        print(USAGE.format(presets=", ".join(known) or "none", **names))
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
        text = re.split(" Got errors:| Argument helptext:", text)[0]
        text = re.sub(r"^Error parsing (\w+): ", _section, text.strip())
        text = text.removeprefix("Error parsing ")
        if text.startswith("Unrecognized"):
            text = _unknown(text)
        raise ValueError(f"{text} (see --help)") from None


def _unknown(text: str) -> str:
    """Returns what to say of options that are none: the nearest, without their help."""
    asked, _, near = text.partition("Perhaps you meant")
    wrong, close = (list(dict.fromkeys(re.findall(OPTION, t))) for t in (asked, near))
    words = f"unknown option {', '.join(wrong)}" if wrong else asked.strip()
    return f"{words}; near it are {', '.join(close[:3])}" if close else words


def _section(parsing: re.Match[str]) -> str:
    """Returns what to say of where an option was wrong: "search.", or nothing."""
    return "" if parsing[1] == Config.__name__ else f"{parsing[1]}."


if __name__ == "__main__":
    sys.exit(main())
