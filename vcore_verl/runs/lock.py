"""Advisory locks on run directories; the kernel releases them however their holder ends. Imports no torch."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vcore_verl.config.errors import InputError

READ, WRITE = fcntl.LOCK_SH, fcntl.LOCK_EX
# What flock answers where the file system has no locks: NFS without a lock service, Lustre mounted without them.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Unlockable(InputError):
    """The file system has no locks; the message is one line that says what to do."""


class Locked(RuntimeError):
    """Another pipeline is writing here; the message is one line that names it."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` alone. Raises `Locked` at once where another process holds it, `Unlockable` where none can."""
    with _opened(path) as file:
        if not _take(file, path, WRITE):
            raise Locked(
                f"another pipeline (pid {path.read_text() or 'unknown'}) is writing {path.parent}; wait for it"
            )
        path.write_text(str(os.getpid()))
        yield


@contextmanager
def shared(path: Path, waiting: Callable[[], None]) -> Iterator[Callable[[int], None]]:
    """Open the lock `path`, which readers share and a writer has alone, and release it at the end.

    Yields what takes it, in place of what is held: called with `READ` or `WRITE`, it calls `waiting` once before a
    wait, and raises `Unlockable` where the file system has no locks.
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
            f"the file system of {path.parent} has no locks ({error.strerror}), without which two runs could write one "
            "result: set output_dir to one that has them, or have this one mounted with them (Lustre: -o flock)"
        ) from error
    return True
