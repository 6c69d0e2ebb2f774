"""Worker processes that can be killed: a deadline counted from dispatch, a memory limit, replacement.

Why not `concurrent.futures.ProcessPoolExecutor`: one killed child breaks it for good, its timeouts include the wait in
its queue, a child stuck in C code keeps its slot for ever, and `spawn` imports the host's `__main__` again (in a Ray
worker: Ray's).
"""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_START_LIMIT_S = 120.0  # importing sympy takes 1 s here, much longer on a network file system
_MAX_ATTEMPTS = 3  # for one question whose workers die (not: exceed the deadline)
_MAX_STARTS = 20  # in a row that end before the worker is ready


@dataclass(frozen=True)
class Outcome:
    """What became of one question. `replaced` counts the workers killed or lost on the way."""

    status: str
    replaced: int


class _WorkerDied(Exception):
    pass


class _Worker:
    def __init__(self, memory_bytes: int):
        self._connection, far_end = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "reward.worker", str(far_end.fileno()), str(os.getpid()), str(memory_bytes)],
            cwd=_ROOT,
            pass_fds=[far_end.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        far_end.close()
        self._ready = False
        self._deadline_to_start = time.monotonic() + _START_LIMIT_S

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Until it has warmed up. Raises _WorkerDied if it ended instead, RuntimeError if it cannot work here."""
        if self._ready:
            return
        reply = self._receive(self._deadline_to_start - time.monotonic())
        if reply is None:
            raise RuntimeError(f"the reward's worker process did not start within {_START_LIMIT_S:.0f} s")
        if "error" in reply:
            raise RuntimeError(
                f"the reward's worker process cannot start: {reply['error']}. Install math-verify into"
                f" {sys.executable}, or raise the worker's memory limit."
            )
        self._ready = True

    def ask(self, question: dict, budget_s: float) -> dict | None:
        """The reply, or None when there was none within the budget."""
        try:
            self._connection.send_bytes(json.dumps(question | {"budget_s": budget_s}).encode())
        except OSError as error:
            raise _WorkerDied from error
        return self._receive(budget_s)

    def _receive(self, timeout_s: float) -> dict | None:
        try:
            return json.loads(self._connection.recv_bytes()) if self._connection.poll(max(0.0, timeout_s)) else None
        except (EOFError, OSError) as error:
            raise _WorkerDied from error

    def kill(self) -> None:
        self._process.kill()
        self._connection.close()
        self._process.wait()


class WorkerPool:
    """Up to `size` workers at work, started when first needed. Safe to call from any number of threads.

    A caller waits in `ask` until it may have a worker, so nothing queues inside the pool. Once a worker has been lost
    one more is kept warm, so that nobody waits for the next loss to be replaced. After a fork the child must not use
    its parent's pool.

    Args:
        size: the most workers at work at a time.
        memory_bytes: address space of a worker (RLIMIT_AS; Linux).
    """

    def __init__(self, size: int, memory_bytes: int = 1 << 30):
        if size < 1:
            raise ValueError(f"a worker pool needs at least one worker, got size={size}")
        self.size = size
        self._memory_bytes = memory_bytes
        self._slots = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []  # the warmest last
        self._has_spare = False
        # PR_SET_PDEATHSIG fires when the THREAD that started the child ends (prctl(2)): start them all from one that
        # lives as long as the process, never from a caller's thread.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reward-worker-starter")

    def ask(self, question: dict, deadline_s: float) -> Outcome:
        """The verdict of a worker; status `timeout` when it took longer than `deadline_s` or too much memory.

        A worker lost for another reason (killed from outside) is replaced and the question asked again with what is
        left of its time, at most three times in all.
        """
        replaced = 0
        budget_s = deadline_s
        with self._slots:
            while True:
                worker = self._take()
                dispatched = time.monotonic()
                try:
                    reply = worker.ask(question, budget_s)
                except _WorkerDied:
                    reply = None
                budget_s -= time.monotonic() - dispatched
                if reply is not None and reply["status"] != "timeout":
                    self._give_back(worker, reply["peak_bytes"])
                    return Outcome(reply["status"], replaced)
                self._replace(worker)
                replaced += 1
                if reply is not None or budget_s <= 0 or replaced == _MAX_ATTEMPTS:
                    return Outcome("timeout", replaced)

    def warm_up(self) -> None:
        """Start all workers and wait until each has imported sympy and parsed once."""
        workers = [self._take() for _ in range(self.size)]
        with self._lock:
            self._idle.extend(workers)

    def pids(self) -> list[int]:
        """Process ids of the workers not at work."""
        with self._lock:
            return [worker.pid for worker in self._idle]

    def close(self) -> None:
        """Kill the workers not at work."""
        with self._lock:
            workers, self._idle, self._has_spare = self._idle, [], False
        for worker in workers:
            worker.kill()

    def _take(self) -> _Worker:
        for _ in range(_MAX_STARTS):
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                worker = self._start()
            try:
                worker.wait_until_ready()
                return worker
            except _WorkerDied:
                self._replace(worker)
            except RuntimeError:
                worker.kill()
                raise
        raise RuntimeError(f"{_MAX_STARTS} reward worker processes in a row ended while starting: is memory exhausted?")

    def _start(self) -> _Worker:
        return self._starter.submit(_Worker, self._memory_bytes).result()

    def _give_back(self, worker: _Worker, peak_bytes: int) -> None:
        # Memory is never given back, and what one hard question leaves behind must not stifle the next.
        if peak_bytes > self._memory_bytes // 2:
            self._replace(worker)
            return
        with self._lock:
            self._idle.append(worker)

    def _replace(self, worker: _Worker) -> None:
        """Start the successor at once, so that it warms up while others work."""
        worker.kill()
        with self._lock:
            count = 1 if self._has_spare else 2
            self._has_spare = True
        successors = [self._start() for _ in range(count)]
        with self._lock:
            self._idle[:0] = successors
