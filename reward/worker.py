"""A verification worker: `python -m reward.worker <fd> <parent pid> <memory in bytes>`.

Started by `reward.pool`; one process, one connection, one question at a time. It may be killed at any moment, and sees
to its own end in every case where nobody is left to do so.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection

_PR_SET_PDEATHSIG = 1
_GRACE_S = 0.5  # the pool kills at the deadline; the worker's own alarm is for when the pool is gone


def main() -> None:
    connection, parent, memory_bytes = Connection(int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the parent's affair
    if sys.platform == "linux":  # elsewhere the limit is refused or ignored
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    try:
        from reward.symbolic import grade_symbolically

        grade_symbolically([r"\sqrt{8}+x"], r"x+2\sqrt{2}")  # builds the parser's tables and sympy's caches
    except Exception as error:
        connection.send_bytes(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        return
    connection.send_bytes(b'{"ready": true}')
    while True:
        try:
            question = json.loads(connection.recv_bytes())
        except EOFError:
            return
        # Left at its default action the alarm ends the process in the kernel, even from inside C code.
        signal.setitimer(signal.ITIMER_REAL, question["budget_s"] + _GRACE_S)
        try:
            status = grade_symbolically(question["golds"], question["answer"])
        except MemoryError:
            status = "timeout"
        signal.setitimer(signal.ITIMER_REAL, 0)
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        connection.send_bytes(json.dumps({"status": status, "peak_bytes": peak_bytes}).encode())


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies, kill -9 included. (Not on Linux: the pipe.)"""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        sys.exit()


if __name__ == "__main__":
    main()
