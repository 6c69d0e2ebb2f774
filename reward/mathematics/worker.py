"""The fork server, started by `pool.py`: `python -m reward.mathematics.worker <fd> <parent pid> <memory in bytes>`.

It imports sympy once and then only forks: each fork is a worker with one connection, answering one question at a time.
A killed worker is replaced in milliseconds, without another import. Forking is safe here, unlike in the host, because
this process has only one thread.
"""

import ctypes
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

_PR_SET_PDEATHSIG = 1
_GRACE_S = 0.5  # the pool kills at the deadline; the worker's own alarm is for the case that the pool is gone


def main() -> None:
    control, parent, memory_bytes = Connection(int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    if sys.platform == "linux":  # elsewhere the limit is refused or ignored
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    try:
        from reward.mathematics.plain import grade_plainly
        from reward.mathematics.symbolic import grade_symbolically, warm_up

        warm_up()
    except Exception as error:
        _send(control, {"error": f"{type(error).__name__}: {error}"})
        return
    gc.freeze()  # keeps the collector from copying every page shared with the workers
    _send(control, {"ready": True})
    while True:
        try:
            command = json.loads(control.recv_bytes())
        except EOFError:
            return
        if "kill" in command:
            os.kill(command["kill"], signal.SIGKILL)
            os.waitpid(command["kill"], 0)  # until here its pid cannot have been reused
            _send(control, {"killed": command["kill"]})
            continue
        questions = Connection(recv_handle(control))
        own_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            control.close()
            _die_with(own_pid)
            try:
                _answer(questions, {"answer": grade_symbolically, "response": grade_plainly})
            finally:
                os._exit(0)
        questions.close()
        _send(control, {"pid": pid})


def _answer(questions: Connection, graders: dict[str, Callable[[list[str], str], str]]) -> None:
    """Grades the "answer" or the whole "response" that a question holds."""
    while True:
        try:
            question = json.loads(questions.recv_bytes())
        except EOFError:
            return
        # With its default action the alarm ends the process even inside C code.
        signal.setitimer(signal.ITIMER_REAL, question["budget_s"] + _GRACE_S)
        try:
            (part,) = graders.keys() & question.keys()
            status = graders[part](question["golds"], question[part])
        except MemoryError:
            status = "timeout"
        signal.setitimer(signal.ITIMER_REAL, 0)
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        _send(questions, {"status": status, "peak_bytes": peak_bytes})


def _send(connection: Connection, message: dict) -> None:
    connection.send_bytes(json.dumps(message).encode())


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies, even from SIGKILL. (Not on Linux: the pipe does.)"""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        os._exit(0)


if __name__ == "__main__":
    main()
