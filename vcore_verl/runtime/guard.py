"""Runs one command and leaves nothing of it behind.

`python -m vcore_verl.runtime.guard LAUNCHER_PID RAY_LOGS COMMAND...`

Ray, vLLM and torchrun start processes in sessions of their own, which outlive a parent that is killed. The guard
stands between the launcher and the command: as a child subreaper it inherits every orphan below it, so that it can find
and end them all, however the command ended. It ends them too when the launcher dies, even from SIGKILL. Linux only,
like verl.

A Ray that the command starts has its sockets and files in a temporary directory of its own, so that several runs and
users share a machine; it goes with the command. Of a command that failed, the logs in it are kept in RAY_LOGS.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
COMMAND_GRACE = 10.0  # seconds the command has to end by itself after SIGTERM
ORPHAN_GRACE = 3.0  # seconds what it left behind has after SIGTERM, and again after SIGKILL


def main() -> int:
    """Run the command; exit as it does (128 + signal where a signal ended it or the guard)."""
    launcher, ray_logs, *command = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(launcher):  # it died before PR_SET_PDEATHSIG
        return 1
    # Ray puts "ray/session_<date>/sockets/<name>" below it, and a socket's path holds 107 bytes: the name is short.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_directory:
        code = _run(command, os.environ | {"RAY_TMPDIR": ray_directory})
        if code != 0:
            for logs in Path(ray_directory).glob("ray/session_*_*/logs"):
                shutil.copytree(logs, Path(ray_logs) / logs.parent.name)
    return code


def _run(command: list[str], env: dict[str, str]) -> int:
    try:
        child = subprocess.Popen(command, env=env, preexec_fn=_prepare_child)
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)
        return 127
    code = _wait(child.pid, deadline=None)
    if code is None:
        os.kill(child.pid, signal.SIGTERM)
        _wait(child.pid, deadline=time.monotonic() + COMMAND_GRACE)
        code = 128 + signal.SIGTERM
    _end_descendants()
    return code


def prctl(option: int, value: int) -> None:
    """prctl(2) on the calling thread. Raises OSError where the kernel refuses."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _prepare_child() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # exec keeps a blocked mask
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait(pid: int, deadline: float | None) -> int | None:
    """Exit code of `pid`; None when told to stop (no deadline), or when the deadline (monotonic seconds) has passed."""
    while True:
        codes = _reap()
        if pid in codes:
            return codes[pid]
        if deadline is None:
            if signal.sigwait({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}) != signal.SIGCHLD:
                return None
        elif time.monotonic() > deadline:
            return None
        else:
            time.sleep(0.05)


def _reap() -> dict[int, int]:
    """Exit codes of the children, adopted ones included, that have ended."""
    codes: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return codes
        if pid == 0:
            return codes
        code = os.waitstatus_to_exitcode(status)
        codes[pid] = code if code >= 0 else 128 - code


def _end_descendants() -> None:
    start = time.monotonic()
    terminated: set[psutil.Process] = set()
    empty = 0
    while empty < 2:  # twice: an orphan between two parents is seen by neither
        _reap()
        alive = psutil.Process().children(recursive=True)
        empty = 0 if alive else empty + 1
        waited = time.monotonic() - start
        if waited > 2 * ORPHAN_GRACE:
            print("processes that cannot be ended:", *(process.pid for process in alive), file=sys.stderr)
            return
        for process in alive:
            try:
                if waited > ORPHAN_GRACE:
                    process.kill()
                elif process not in terminated:
                    process.terminate()
                    terminated.add(process)
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
