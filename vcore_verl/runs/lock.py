"""Advisory locks on run directories; the kernel releases them even if their holder crashes. Imports no torch."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vcore_verl.config.errors import InputError

READ, WRITE = fcntl.LOCK_SH, fcntl.LOCK_EX
# flock's errors on file systems without locks: NFS without a lock service, Lustre mounted without them.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Unlockable(InputError):
    """The file system has no locks; the one-line message says what to do."""


class Locked(RuntimeError):
    """Another pipeline is writing here; the one-line message names it."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` exclusively. Raises `Locked` at once if another process holds it, `Unlockable` if none can."""
    with _opened(path) as file:
        if not _take(file, path, WRITE):
            raise Locked(
                f"another pipeline (pid {path.read_text() or 'unknown'}) is writing {path.parent}; wait for it"
            )
        path.write_text(str(os.getpid()))
        yield


@contextmanager
def shared(path: Path, waiting: Callable[[], None]) -> Iterator[Callable[[int], None]]:
    """Open the readers-writer lock `path`, and release it at the end.

    Yields a function that takes the lock as `READ` or `WRITE`, converting one that is held. It calls `waiting` once
    before it waits, and raises `Unlockable` if the file system has no locks.
    """
    with _opened(path) as file:

        def hold(kind: int) -> None:
            if not _take(file, path, kind):
                waiting()
                fcntl.flock(file, kind)

        yield hold


def _opened(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a+")


def _take(file: IO[str], path: Path, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise Unlockable(
            f"the file system of {path.parent} has no locks ({error.strerror}), so two runs could write the same "
            "result: set output_dir to one that has them, or have this one mounted with them (Lustre: -o flock)"
        ) from error
    return True
