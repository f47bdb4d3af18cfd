"""Starts one run as several processes on this machine, each with virtual CPU devices.

python scripts/run_local.py --processes 2 --devices 4 -- <arguments of jaxcompress.run>

The processes find each other and talk as they would on as many machines (gloo in the place
of a network card), so this is what to try before renting them. Only the output of process 0
is shown, and what the others say when they fail; lines that begin with [Gloo] are the
network's. A signal goes on to process 0, which tells the others.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def start(
    command: Sequence[str], processes: int, devices: int, talk: bool = False
) -> list[subprocess.Popen[bytes]]:
    """Starts a command that takes `--coordinator`, `--processes` and `--process-id`.

    Args:
        command: what is run by this Python, such as ["-m", "jaxcompress.run"].
        processes: how many; devices: virtual ones of each.
        talk: whether all can be written to, and process 0 be read from.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
    }
    written = subprocess.PIPE if talk else None
    shared = ["--coordinator", f"localhost:{free_port()}", "--processes", str(processes)]
    return [
        subprocess.Popen(
            [sys.executable, *command, *shared, "--process-id", str(number)],
            env=environment,
            stdin=written,
            stdout=written if number == 0 else subprocess.DEVNULL,
            # Who talks with them reads nothing else, and a full pipe would block them.
            stderr=None if number == 0 else subprocess.DEVNULL if talk else subprocess.PIPE,
        )
        for number in range(processes)
    ]


def ended(
    started: Sequence[subprocess.Popen[bytes]], seconds: float | None = None
) -> list[str]:
    """Waits for all at once; returns what each but the first has said of errors."""
    # One after the other, a later one could fill its pipe, and the first wait for it.
    with ThreadPoolExecutor(len(started)) as pool:
        pairs = pool.map(lambda process: process.communicate(timeout=seconds), started)
        return [(said or b"").decode(errors="replace") for _, said in pairs]


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: allowed is a whole number, 1 or more")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--processes", type=at_least_one, default=2, help="(default: 2)")
    parser.add_argument(
        "--devices",
        type=at_least_one,
        default=4,
        help="virtual ones of each process (default: 4)",
    )
    parser.add_argument("rest", nargs="*", help="arguments of jaxcompress.run, after --")
    given = parser.parse_args()
    started = start(["-m", "jaxcompress.run", *given.rest], given.processes, given.devices)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: started[0].send_signal(number))
    said = ended(started)
    codes = [process.returncode for process in started]
    for number, code in enumerate(codes):
        if code != codes[0]:
            print(f"process {number}: {said[number]}", file=sys.stderr)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
