"""Advisory locks on run directories; the kernel releases them however their holder ends. Imports no torch."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vcore_verl.config.errors import InputError

# What flock answers where the file system has no locks: NFS without a lock service, Lustre mounted without them.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Unlockable(InputError):
    """The file system has no locks; the message is one line that says what to do."""


class Locked(RuntimeError):
    """Another pipeline is writing here; the message is one line that names it."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` alone. Raises `Locked` at once where another process holds it, `Unlockable` where none can."""
    with _opened(path) as handle:
        if not _take(handle, path, fcntl.LOCK_EX):
            raise Locked(
                f"another pipeline (pid {path.read_text() or 'unknown'}) is writing {path.parent}; wait for it"
            )
        path.write_text(str(os.getpid()))
        yield


class Shared:
    """A lock that readers share and a writer has alone; `waiting` is called once before a wait.

    `read` and `write` raise `Unlockable` where the file system has no locks.
    """

    def __init__(self, handle: int, path: Path, waiting: Callable[[], None]) -> None:
        self.handle = handle
        self.path = path
        self.waiting = waiting

    def read(self) -> None:
        self._hold(fcntl.LOCK_SH)

    def write(self) -> None:
        self._hold(fcntl.LOCK_EX)

    def _hold(self, kind: int) -> None:
        if not _take(self.handle, self.path, kind):
            self.waiting()
            fcntl.flock(self.handle, kind)


@contextmanager
def shared(path: Path, waiting: Callable[[], None]) -> Iterator[Shared]:
    """Open the lock `path`, not yet held; it is released at the end."""
    with _opened(path) as handle:
        yield Shared(handle, path, waiting)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)


def _take(handle: int, path: Path, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise Unlockable(
            f"the file system of {path.parent} has no locks ({error.strerror}), without which two runs could write one "
            "result: set output_dir to one that has them, or have this one mounted with them (Lustre: -o flock)"
        ) from error
    return True
