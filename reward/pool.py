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
    """Up to `size` workers, started when first needed. Safe to call from any number of threads.

    A caller waits in `ask` until a worker is free, so nothing queues inside the pool. After a fork the child must not
    use its parent's pool.

    Args:
        size: the most workers alive at a time.
        memory_bytes: address space of a worker (RLIMIT_AS; Linux).
    """

    def __init__(self, size: int, memory_bytes: int = 1 << 30):
        if size < 1:
            raise ValueError(f"a worker pool needs at least one worker, got size={size}")
        self.size = size
        self._memory_bytes = memory_bytes
        self._changed = threading.Condition()
        self._idle: list[_Worker] = []
        self._alive = 0
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
        while True:
            worker = self._take()
            dispatched = time.monotonic()
            try:
                reply = worker.ask(question, budget_s)
            except _WorkerDied:
                reply = None
            budget_s -= time.monotonic() - dispatched
            if reply is None:
                self._replace(worker)
                replaced += 1
                if budget_s <= 0 or replaced == _MAX_ATTEMPTS:
                    return Outcome("timeout", replaced)
                continue
            # Memory is never given back, and what one hard question leaves behind must not stifle the next.
            if reply["status"] == "timeout" or reply["peak_bytes"] > self._memory_bytes // 2:
                self._replace(worker)
                replaced += 1
            else:
                self._give_back(worker)
            return Outcome(reply["status"], replaced)

    def warm_up(self) -> None:
        """Start all workers and wait until each has imported sympy and parsed once."""
        workers = [self._take() for _ in range(self.size)]
        for worker in workers:
            self._give_back(worker)

    def pids(self) -> list[int]:
        """Process ids of the idle workers."""
        with self._changed:
            return [worker.pid for worker in self._idle]

    def close(self) -> None:
        """Kill the idle workers; those at work end when their question does."""
        with self._changed:
            workers, self._idle = self._idle, []
            self._alive -= len(workers)
            self._changed.notify_all()
        for worker in workers:
            worker.kill()

    def _take(self) -> _Worker:
        for _ in range(_MAX_STARTS):
            worker = self._idle_or_new()
            try:
                worker.wait_until_ready()
                return worker
            except _WorkerDied:
                self._replace(worker)
            except RuntimeError:
                self._discard(worker)
                raise
        raise RuntimeError(f"{_MAX_STARTS} reward worker processes in a row ended while starting: is memory exhausted?")

    def _idle_or_new(self) -> _Worker:
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._alive < self.size)
            if self._idle:
                return self._idle.pop()
            self._alive += 1
        return self._start()

    def _start(self) -> _Worker:
        return self._starter.submit(_Worker, self._memory_bytes).result()

    def _give_back(self, worker: _Worker) -> None:
        with self._changed:
            self._idle.append(worker)
            self._changed.notify()

    def _replace(self, worker: _Worker) -> None:
        """Start the successor at once, so that it warms up while others work, and behind those already warm."""
        worker.kill()
        successor = self._start()
        with self._changed:
            self._idle.insert(0, successor)
            self._changed.notify()

    def _discard(self, worker: _Worker) -> None:
        worker.kill()
        with self._changed:
            self._alive -= 1
            self._changed.notify()
