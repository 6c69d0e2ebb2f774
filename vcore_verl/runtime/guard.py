"""Runs one command and leaves no process of it behind.

`python -m vcore_verl.runtime.guard LAUNCHER_PID RAY_LOGS COMMAND...`

Ray, vLLM and torchrun start processes in sessions of their own, which outlive a killed parent. The guard runs between
the launcher and the command. As a child subreaper it inherits every orphan below it, so it can end them all however the
command ended, and also when the launcher dies, even from SIGKILL. Linux only, like verl.

If the command starts Ray, Ray's sockets and files go to a temporary directory, so that several runs and users can share
a machine. It is deleted with the command; if the command failed, Ray's logs are copied to RAY_LOGS.
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
COMMAND_GRACE = 10.0  # seconds for the command to end by itself after SIGTERM
ORPHAN_GRACE = 3.0  # seconds for orphans after SIGTERM, and again after SIGKILL


def main() -> int:
    """Run the command and return its exit code (128 + signal if a signal ended it or the guard)."""
    launcher, ray_logs, *command = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(launcher):  # it died before PR_SET_PDEATHSIG
        return 1
    # Short prefix: Ray adds "ray/session_<date>/sockets/<name>", and a socket's path has at most 107 bytes.
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
    """prctl(2) on the calling thread. Raises OSError if the kernel refuses."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _prepare_child() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # exec keeps a blocked mask
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait(pid: int, deadline: float | None) -> int | None:
    """Exit code of `pid`; None after SIGTERM or SIGINT (no deadline), or past the deadline (monotonic seconds)."""
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
    """Exit codes of the children that have ended, including adopted ones."""
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
    while empty < 2:  # twice: an orphan being reparented is not listed below either parent
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
