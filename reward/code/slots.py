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
_QUEUE_SECONDS = 60.0  # then the first of the queue may be a process that was stopped
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
            while (queue := self._lock_file("queue")) is None:
                time.sleep(_POLL_SECONDS)
            # Whoever holds a slot needs no queue to give it back: no deadlock.
            held.callback(self._close, queue)
            for number in range(self.count):
                descriptor = self._open(str(number))
                held.callback(self._close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def _acquire(self) -> tuple[int, float]:
        own, queue, started = _Waiting(), None, time.monotonic()
        with self._lock:
            self._waiting.append(own)
        try:
            while True:
                with self._lock:
                    if own.slot is not None:
                        return own.slot
                    first = self._waiting[0] is own
                if first:
                    # Whoever waits holds the queue, so that a process that just gave a slot back does not overtake.
                    queue = self._lock_file("queue") if queue is None else queue
                    if queue is not None or time.monotonic() - started > _QUEUE_SECONDS:
                        for number in range(self.count):
                            descriptor = self._lock_file(str(number))
                            if descriptor is not None:
                                return self._served(own, descriptor)
                own.wake.wait(_POLL_SECONDS if first else None)
                own.wake.clear()
        except BaseException:  # Ctrl-C
            self._leave(own)
            if own.slot is not None:
                self._close(own.slot[0])
            raise
        finally:
            if queue is not None:
                self._close(queue)

    def _served(self, own: _Waiting, descriptor: int) -> tuple[int, float]:
        """The slot just locked, unless another thread handed its own over meanwhile."""
        self._leave(own)  # from here on nobody hands it one
        if own.slot is None:
            return descriptor, time.monotonic()
        self._close(descriptor)
        return own.slot

    def _leave(self, own: _Waiting) -> None:
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
                if self._waiting:
                    self._waiting[0].wake.set()
                return
        self._close(descriptor)

    def _lock_file(self, name: str) -> int | None:
        descriptor = self._open(name)
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
