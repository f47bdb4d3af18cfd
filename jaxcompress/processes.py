"""Many processes that are one run: they join, agree on the first, and end together.

Every process does the same. Where one must decide, read or write, it is the first, and
the others get what it got. All of it is JAX's own distributed runtime.
"""

import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, TypeVar

import jax
import numpy as np

# The key-value store of JAX's runtime has no public name.
from jax._src import distributed
from jax.experimental import multihost_utils

T = TypeVar("T")
LEAST_LENGTH = 1 << 16  # bytes, of what processes tell each other
DAY = 24 * 3600 * 1000  # ms; after which one asks again
PATIENCE = 10_000  # ms, for other processes to fail with the same error
STOP = "jaxcompress/stop"
_number = count()
_together = threading.Event()  # all have joined
_told = threading.Event()  # this process told the others
_ending = threading.Lock()  # JAX's runtime is shut down once


@contextmanager
def joined(
    coordinator: str | None = None,
    processes: int | None = None,
    process_id: int | None = None,
    detect: bool = True,
) -> Iterator[None]:
    """Makes this process one of many, where there are many, until all are done.

    A signal that ends one process ends all of them, each in its own way, as if all had
    got it; so does an exception that only one raises.

    Args:
        coordinator: host and port of the first process, "host:port".
        processes: how many there are; process_id: which one this is, from 0. All three
            are given, or none; `processes` 1 alone: there are no others.
        detect: whether to ask the environment if none is given. JAX knows Cloud TPU,
            SLURM, Open MPI and Kubernetes.

    Raises:
        ValueError: only some are given, or they do not fit each other.
    """
    given = None not in (coordinator, processes, process_id)
    if processes == 1 and process_id in (None, 0):
        pass  # there are no others
    elif given or (coordinator, processes, process_id) == (None, None, None):
        if given or detect:
            _initialize(coordinator, processes, process_id)
    else:
        raise ValueError(
            f"--coordinator {coordinator}, --processes {processes}, --process-id "
            f"{process_id}: give all three, or none"
        )
    try:
        yield
    except (ValueError, OSError) as error:
        if _all_failed() and not is_first():
            raise SaidByFirst from error
        raise
    except BaseException:
        _all_failed()
        raise
    finally:
        _leave()


class SaidByFirst(Exception):
    """The first process has failed as well, and says why."""


def many() -> bool:
    """Returns whether this process is one of several."""
    state = distributed.global_state  # knows it before any device is touched
    return state.client is not None and state.num_processes > 1


def is_first() -> bool:
    """Returns whether this is the process that writes and prints: one does."""
    return distributed.global_state.process_id == 0


def from_first(compute: Callable[[], T]) -> T:
    """Returns in every process what `compute` gives in the first, which alone runs it.

    Every process must call this, in the same order. The others wait as long as it takes.

    Raises:
        Exception: what it raises in the first, in all.
    """
    if not many():
        return compute()
    key, client = f"jaxcompress/{next(_number)}", distributed.global_state.client
    assert client is not None
    if is_first():
        told: tuple[bool, Any]
        try:
            told = True, compute()
        except (Exception, SystemExit) as error:
            told = False, error
        content = _filled(pickle.dumps(told))
        client.key_value_set(key, str(len(content)))
    else:
        content = np.zeros(int(_awaited(key)), np.uint8)
    # Not through the store, which is no place for parameters.
    content = multihost_utils.broadcast_one_to_all(content)
    good, value = pickle.loads(content.tobytes())  # which ends where it ends
    if not good:
        raise value
    return value


def _filled(content: bytes) -> np.ndarray:
    """Returns bytes in one of few lengths: each is a program of its own."""
    length = max(LEAST_LENGTH, 1 << (len(content) - 1).bit_length())
    return np.frombuffer(content.ljust(length, b"\0"), np.uint8)


def _awaited(key: str) -> str:
    """Returns what another process sets, whenever that is.

    One that dies is noticed by its heartbeat, which ends this one.
    """
    client = distributed.global_state.client
    assert client is not None
    while True:
        try:
            return client.blocking_key_value_get(key, DAY)
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def stop_all(number: int) -> None:
    """Stops all processes by a signal, and returns when all are about to end."""
    client = distributed.global_state.client
    if _together.is_set() and client is not None:
        _told.set()
        with suppress(Exception):  # another was quicker
            client.key_value_set(STOP, str(number))
        _leave()


def _initialize(
    coordinator: str | None, processes: int | None, process_id: int | None
) -> None:
    # It would take SIGTERM away from `AtSignal`, which acts at once.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a cluster that it only thinks it sees
            jax.distributed.initialize(coordinator, processes, process_id)
    except ValueError as error:
        if coordinator is None and "coordinator_address" in str(error):
            return  # JAX sees no cluster
        raise ValueError(f"the other processes cannot be joined: {error}") from error
    except RuntimeError as error:
        raise OSError(f"the other processes cannot be joined: {error}") from error
    _together.set()
    threading.Thread(target=_hear, daemon=True).start()


def _hear() -> None:
    """Waits until a process is told to stop, and tells this one."""
    with suppress(Exception):  # all are done
        number = int(_awaited(STOP))
        if not _told.is_set():
            os.kill(os.getpid(), number)


def _all_failed() -> bool:
    """Returns whether all processes have failed; the others are stopped if not."""
    client = distributed.global_state.client
    if client is None:
        return True
    try:
        client.wait_at_barrier("jaxcompress/failed", PATIENCE)
    except Exception:
        stop_all(signal.SIGTERM)
        return False
    return True


def _leave() -> None:
    """Waits for all, and ends what JAX holds of the others."""
    with _ending, suppress(Exception):
        jax.distributed.shutdown()
