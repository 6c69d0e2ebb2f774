"""Host-wide slots: how many programs run at a time, whichever process of this user started them.

verl starts several reward workers, each of which would otherwise take all cores. A slot is a lock on a file (flock), so
the kernel frees the slots of a process that dies.
"""

import contextlib
import fcntl
import os
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from pathlib import Path

CORES_LEFT_FREE = 2  # for Ray, vLLM and the trainer
_POLL_SECONDS = 0.002
_MAX_HOLD_SECONDS = 0.1  # then a slot goes back to the host instead of to the next thread of this process


def default_count() -> int:
    return max(1, len(os.sched_getaffinity(0)) - CORES_LEFT_FREE)


class _Waiting:
    def __init__(self) -> None:
        self.wake = threading.Event()
        self.slot: tuple[int, float] | None = None


class Slots:
    """Thread-safe; threads of a process are served in their order. A forked child starts without the parent's slots.

    Args:
        count: how many slots there are. Users with different counts share the first ones.
    """

    def __init__(self, count: int):
        self.count = count
        self._folder = private_folder()
        self._forget()
        _all_slots.add(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._held: set[int] = set()

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Hold one slot."""
        slot = self._acquire()
        try:
            yield
        finally:
            self._release(*slot)

    @contextlib.contextmanager
    def all(self) -> Iterator[None]:
        """Hold every slot of the host: nothing else runs. The caller must not hold one."""
        with contextlib.ExitStack() as held:
            # One at a time collects slots, and all others hold one and wait for none: no deadlock.
            for name in ("alone", *map(str, range(self.count))):
                descriptor = self._open(name)
                held.callback(self._close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def _acquire(self) -> tuple[int, float]:
        own = _Waiting()
        with self._lock:
            self._waiting.append(own)
        try:
            while True:
                with self._lock:
                    if own.slot is not None:
                        return own.slot
                    first = self._waiting[0] is own
                    descriptor = self._try() if first else None
                    if descriptor is not None:
                        return descriptor, time.monotonic()
                own.wake.wait(_POLL_SECONDS if first else None)
                own.wake.clear()
        finally:
            with self._lock:
                if own in self._waiting:
                    self._waiting.remove(own)
                if self._waiting:
                    self._waiting[0].wake.set()

    def _release(self, descriptor: int, since: float) -> None:
        with self._lock:
            if self._waiting and time.monotonic() - since < _MAX_HOLD_SECONDS:
                following = self._waiting.popleft()
                following.slot = (descriptor, since)
                following.wake.set()
                return
        self._close(descriptor)

    def _try(self) -> int | None:
        for number in range(self.count):
            descriptor = self._open(str(number))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                self._close(descriptor)
        return None

    def _open(self, name: str) -> int:
        descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._held.add(descriptor)
        return descriptor

    def _close(self, descriptor: int) -> None:
        self._held.discard(descriptor)
        os.close(descriptor)


def private_folder() -> Path:
    """A folder of this user on this machine, at the same place for all its processes whatever their TMPDIR."""
    folder = Path(f"/tmp/code-jail-{os.geteuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a private folder of this user: remove it, or ask its owner to")
    return folder


_all_slots: "weakref.WeakSet[Slots]" = weakref.WeakSet()


def _forget_in_child() -> None:
    """A lock on a file is shared with a forked child until that closes it as well."""
    for slots in list(_all_slots):
        for descriptor in list(slots._held):
            os.close(descriptor)
        slots._forget()


os.register_at_fork(after_in_child=_forget_in_child)
