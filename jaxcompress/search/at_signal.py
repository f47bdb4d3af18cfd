"""Something that is done at once when the process is told to stop."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

# SIGHUP: the terminal or connection is gone. Windows has none.
SIGNALS = tuple(s for s in signal.Signals if s.name in ("SIGTERM", "SIGINT", "SIGHUP"))
LOG = logging.getLogger("jaxcompress")


class AtSignal:
    """Calls a function as soon as a signal to stop comes, whatever the main thread does.

    SIGTERM, SIGINT or SIGHUP.

    The main thread can be inside a compiled program for minutes, and runs no handler
    before it is back. So the function is called in a thread of its own. After it comes
    what would have come without it: an outer `AtSignal` acts at once; a handler
    (`KeyboardInterrupt`) runs when the main thread is back; where there is none, the
    process exits with code 128 + signal.

    Signals that are ignored stay so, and entered outside the main thread it hears nothing.

    Example:
        >>> with AtSignal(lambda number: save()):  # doctest: +SKIP
        ...     work()
    """

    def __init__(self, act: Callable[[int], None]) -> None:
        """Hears nothing before it is entered.

        Args:
            act: takes the signal's number; called at most once.
        """
        self._act = act
        self._acted = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "AtSignal":
        self._thread: threading.Thread | None = None
        if threading.current_thread() is not threading.main_thread():
            return self
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._previous[number] = signal.signal(number, self)
        # Written to by the handler in C, at once and whatever Python is doing.
        self._wakeup = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is None:
            return
        try:
            os.write(self._mouth, b"\0")
            self._thread.join()  # it may be saving
        finally:
            signal.set_wakeup_fd(self._wakeup)
            for number, previous in self._previous.items():
                signal.signal(number, previous)
            os.close(self._ear)
            os.close(self._mouth)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Runs in the main thread, once that is back; a signal's handler."""
        if self._acted and callable(self._previous[number]):
            self._previous[number](number, frame)
        else:
            os.write(self._mouth, bytes([number]))  # something else may have the wakeup

    def now(self, number: int) -> None:
        """Acts, and then does what would have come without it."""
        try:
            self._act(number)
        except Exception as error:
            LOG.error("%s", " ".join(str(error).split()))
        self._acted = True
        previous = self._previous[number]
        if isinstance(previous, AtSignal):
            previous.now(number)
        elif callable(previous):
            thread = threading.main_thread().ident
            assert thread is not None
            signal.pthread_kill(thread, number)
        else:
            os._exit(128 + number)

    def _listen(self) -> None:
        while number := os.read(self._ear, 1)[0]:
            if number in self._previous:  # any signal with a handler is written here
                self.now(number)
                return
