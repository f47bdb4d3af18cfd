"""One process at a time in a directory."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"  # the name of its file
LOG = logging.getLogger("jaxcompress")


@contextmanager
def locked(directory: str | Path) -> Iterator[None]:
    """Holds a directory, which is made if it is not there.

    The operating system holds the lock and lets go of it when the process ends, however
    it ends. A system without `flock` (Windows), or a file system without it (some shared
    ones), locks nothing.

    Raises:
        ValueError: another process, or this one, holds it.
        OSError: the directory cannot be made or written.
    """
    path = Path(directory) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        try:
            import fcntl
        except ImportError:
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text(encoding="utf-8").strip() or "unknown"
            raise ValueError(
                f"{directory}: a run is going on there (process {holder}); wait for its "
                "end, or choose another directory"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            LOG.warning("%s: cannot be locked (%s)", directory, error.strerror)
            yield
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
