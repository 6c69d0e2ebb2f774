"""Advisory locks on run directories; the kernel releases them however their holder ends. Imports no torch."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Locked(RuntimeError):
    """Another pipeline is writing here; the message is one line that names it."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` alone. Raises `Locked` at once where another process holds it."""
    with _opened(path) as handle:
        if not _take(handle, fcntl.LOCK_EX):
            raise Locked(
                f"another pipeline (pid {path.read_text() or 'unknown'}) is writing {path.parent}; wait for it"
            )
        path.write_text(str(os.getpid()))
        yield


class Shared:
    """A lock that readers share and a writer has alone; `waiting` is called once before a wait."""

    def __init__(self, handle: int, waiting: Callable[[], None]) -> None:
        self.handle = handle
        self.waiting = waiting

    def read(self) -> None:
        self._hold(fcntl.LOCK_SH)

    def write(self) -> None:
        self._hold(fcntl.LOCK_EX)

    def _hold(self, kind: int) -> None:
        if not _take(self.handle, kind):
            self.waiting()
            fcntl.flock(self.handle, kind)


@contextmanager
def shared(path: Path, waiting: Callable[[], None]) -> Iterator[Shared]:
    """Open the lock `path`, not yet held; it is released at the end."""
    with _opened(path) as handle:
        yield Shared(handle, waiting)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)


def _take(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
