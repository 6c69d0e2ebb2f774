"""Worker processes that can be killed: a deadline counted from dispatch, a memory limit, replacement.

Why not `concurrent.futures.ProcessPoolExecutor`: one killed child breaks it permanently, its timeouts include the time
in its queue, a child stuck in C code keeps its slot forever, and `spawn` re-imports the host's `__main__` (in a Ray
worker: Ray's).
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import send_handle
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT_S = 120.0  # importing sympy takes 1 s here, much longer on a network file system
_MAX_ATTEMPTS = 10  # for one question whose workers die (rather than exceed the deadline)
_MAX_STARTS = 20  # consecutive failed starts


@dataclass(frozen=True)
class Outcome:
    """The result of one question. `replaced` counts the workers killed or lost meanwhile."""

    status: str
    replaced: int


class _ProcessDied(Exception):
    pass


class _Template:
    """The fork server: it has sympy imported and forks the workers (`reward.mathematics.worker`)."""

    def __init__(self, memory_bytes: int):
        self._control, far_end = Pipe()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "reward.mathematics.worker",
                str(far_end.fileno()),
                str(os.getpid()),
                str(memory_bytes),
            ],
            cwd=_ROOT,
            pass_fds=[far_end.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        far_end.close()

    def wait_until_ready(self) -> None:
        reply = _receive(self._control, _START_LIMIT_S)
        if reply is None:
            raise RuntimeError(f"the reward's worker process did not start within {_START_LIMIT_S:.0f} s")
        if "error" in reply:
            raise RuntimeError(
                f"the reward's worker process cannot start: {reply['error']}. Install math-verify into"
                f" {sys.executable}, or raise the worker's memory limit."
            )

    def fork(self) -> "_Worker":
        near_end, far_end = Pipe()
        with self._lock:
            _send(self._control, {"fork": True})
            with _as_process_died():
                send_handle(self._control, far_end.fileno(), self._process.pid)
            reply = _receive(self._control, _START_LIMIT_S)
        far_end.close()
        if reply is None:
            raise _ProcessDied
        return _Worker(self, near_end, reply["pid"])

    def kill_worker(self, pid: int) -> None:
        with self._lock:
            _send(self._control, {"kill": pid})
            _receive(self._control, _START_LIMIT_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        with self._lock:  # close only after a pending reader has returned: the file descriptor may be reused
            self._control.close()


class _Worker:
    def __init__(self, template: _Template, questions: Connection, pid: int):
        self._template = template
        self._questions = questions
        self.pid = pid

    def ask(self, question: dict, budget_s: float) -> dict | None:
        """The reply, or None if there was none within the budget."""
        _send(self._questions, question | {"budget_s": budget_s})
        return _receive(self._questions, budget_s)

    def lost(self) -> bool:
        """Whether it ended while idle: it only sends replies, so readable input means end of file."""
        return self._questions.poll()

    def kill(self) -> None:
        self._questions.close()
        with contextlib.suppress(_ProcessDied):  # workers die with their template
            self._template.kill_worker(self.pid)


class WorkerPool:
    """Up to `size` workers, started on demand. Thread-safe.

    Callers wait in `ask` until a worker is available, so nothing queues inside the pool. A forked child must not use
    its parent's pool.

    Args:
        size: maximum number of workers alive at a time.
        memory_bytes: address space of a worker (RLIMIT_AS; Linux).
    """

    def __init__(self, size: int, memory_bytes: int = 1 << 30):
        if size < 1:
            raise ValueError(f"a worker pool needs at least one worker, got size={size}")
        self.size = size
        self._memory_bytes = memory_bytes
        self._turns = _Turns(size)
        self._idle: list[_Worker] = []
        self._template: _Template | None = None
        self._lock = threading.Lock()
        # PR_SET_PDEATHSIG fires when the THREAD that started the child ends (prctl(2)): start it from a thread that
        # lives as long as the process, never from a caller's thread.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reward-worker-starter")

    def ask(self, question: dict, deadline_s: float) -> Outcome:
        """The verdict of a worker; status `timeout` if it took longer than `deadline_s` or too much memory.

        If a worker is lost for another reason (killed from outside), it is replaced and the question retried within the
        remaining time, at most ten attempts in total.
        """
        replaced = 0
        budget_s = deadline_s
        with self._turns:
            while True:
                worker = self._take()
                dispatched = time.monotonic()
                try:
                    reply = worker.ask(question, budget_s)
                except _ProcessDied:
                    reply = None
                budget_s -= time.monotonic() - dispatched
                if reply is not None and reply["status"] != "timeout":
                    self._give_back(worker, reply["peak_bytes"])
                    return Outcome(reply["status"], replaced)
                worker.kill()
                replaced += 1
                if reply is not None or budget_s <= 0 or replaced == _MAX_ATTEMPTS:
                    return Outcome("timeout", replaced)

    def warm_up(self) -> None:
        """Start all workers, each with sympy imported and warmed up."""
        for worker in [self._take() for _ in range(self.size)]:
            self._give_back(worker, 0)

    def pids(self) -> list[int]:
        """Process ids of the idle workers."""
        with self._lock:
            return [worker.pid for worker in self._idle]

    def close(self) -> None:
        """End all processes; questions still being answered end as `timeout`."""
        with self._lock:
            self._drop_template()
            self._idle.clear()

    def _take(self) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if not worker.lost():
                    return worker
                worker.kill()
            for _ in range(_MAX_STARTS):
                try:
                    return self._started_template().fork()
                except _ProcessDied:
                    self._drop_template()
                except RuntimeError:
                    self._drop_template()
                    raise
        raise RuntimeError(f"the reward's worker process ended {_MAX_STARTS} times in a row: is memory exhausted?")

    def _started_template(self) -> _Template:
        if self._template is None:
            self._template = self._starter.submit(_Template, self._memory_bytes).result()
            self._template.wait_until_ready()
        return self._template

    def _drop_template(self) -> None:
        if self._template is not None:
            self._template.kill()
            self._template = None

    def _give_back(self, worker: _Worker, peak_bytes: int) -> None:
        # Processes do not return memory, and one hard question must not leave too little for the next.
        if peak_bytes > self._memory_bytes // 2:
            worker.kill()
            return
        with self._lock:
            self._idle.append(worker)


class _Turns:
    """A FIFO semaphore. With `threading.Semaphore`, busy threads overtake waiting ones."""

    def __init__(self, count: int):
        self._free = count
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


@contextlib.contextmanager
def _as_process_died() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise _ProcessDied from error


def _send(connection: Connection, message: dict) -> None:
    with _as_process_died():
        connection.send_bytes(json.dumps(message).encode())


def _receive(connection: Connection, timeout_s: float) -> dict | None:
    with _as_process_died():
        return json.loads(connection.recv_bytes()) if connection.poll(max(0.0, timeout_s)) else None
