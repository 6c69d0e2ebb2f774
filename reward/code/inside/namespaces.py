"""Tier "namespaces": a file system, process numbers, a network and IPC of its own, without privilege.

The new root is an empty read-only tmpfs into which only the readable paths are bound, read-only. There is no /proc.
"""

import contextlib
import os
import re
import signal
from collections.abc import Iterable

from . import confine

_NEW_USER, _NEW_MOUNT, _NEW_PID = 0x10000000, 0x00020000, 0x20000000
_NEW_NETWORK, _NEW_IPC, _NEW_HOST_NAME = 0x40000000, 0x08000000, 0x04000000
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
# Options in /proc/self/mountinfo that a user namespace cannot drop when it mounts again.
_KEPT = {"nosuid": 2, "nodev": 4, "noexec": 8}
_DETACH = 2
_NOBODY = 65534


def enter() -> None:
    """Return in a new process, number 1 of new namespaces; its files are still the caller's.

    The calling process stays outside, waits and ends with it, without returning. Needs a single thread.

    Raises:
        OSError: what the kernel or its configuration does not allow.
    """
    uid, gid = os.geteuid(), os.getegid()
    confine.call("unshare", _NEW_USER | _NEW_MOUNT | _NEW_PID | _NEW_NETWORK | _NEW_IPC | _NEW_HOST_NAME)
    for file, text in (("setgroups", "deny"), ("uid_map", f"{_NOBODY} {uid} 1"), ("gid_map", f"{_NOBODY} {gid} 1")):
        with open(f"/proc/self/{file}", "w") as map_file:
            map_file.write(text)
    # Blocked from before the fork, so that the end of the child cannot be missed.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    parent, child = os.getppid(), os.fork()
    if child:
        _wait_for(child, parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    confine.call("prctl", confine.PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _wait_for(child: int, parent: int) -> None:
    """End with the child, or take it along when the parent has died: killing number 1 kills its whole namespace."""
    os.closerange(0, 256)
    status = 1
    with contextlib.suppress(BaseException):
        while os.getppid() == parent:
            signal.sigtimedwait({signal.SIGCHLD}, 1.0)
            pid, wait_status = os.waitpid(child, os.WNOHANG)
            if pid:
                status = os.waitstatus_to_exitcode(wait_status) & 0xFF
                break
    os._exit(status)


def change_root(readable: Iterable[str], writable: Iterable[str] = ()) -> None:
    """Leave nothing visible but these paths, read-only except the writable ones."""
    confine.call("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)
    kept_writable = frozenset(writable)
    # Held open, because the new root covers a folder that may contain some of them.
    places = {path: os.open(path, os.O_PATH) for path in _outermost([*readable, *kept_writable])}
    root = "/tmp"
    confine.call(
        "mount", b"jail", root.encode(), b"tmpfs", _NO_SETUID | _NO_DEVICES, b"size=1m,nr_inodes=4096,mode=755"
    )
    for path, place in places.items():
        source, target = f"/proc/self/fd/{place}", root + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        else:
            os.close(os.open(target, os.O_CREAT))
        confine.call("mount", source.encode(), target.encode(), None, _BIND | _RECURSIVE, None)
        os.close(place)
    for mount_point, kept_flags in _mounts_below(root):
        if mount_point.removeprefix(root) not in kept_writable:
            flags = _REMOUNT | _BIND | _READ_ONLY | _NO_SETUID | kept_flags
            confine.call("mount", None, mount_point.encode(), None, flags, None)
    os.chdir(root)
    confine.call("syscall", confine.number("pivot_root"), b".", b".")  # the old root then lies on top of the new
    confine.call("umount2", b".", _DETACH)
    os.chdir("/")


def _outermost(paths: Iterable[str]) -> list[str]:
    """The paths that exist, as written and without symbolic links, except those below another."""
    existing = {path for path in paths if os.path.exists(path)}
    chosen: list[str] = []
    for path in sorted(existing | {os.path.realpath(path) for path in existing}):
        if not any(path.startswith(f"{above}/") for above in chosen):
            chosen.append(path)
    return chosen


def _mounts_below(root: str) -> list[tuple[str, int]]:
    """Mount points, mounts within bound folders included, each with the flags that it must keep."""
    mounts = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            _, _, _, _, escaped, options, *_ = line.split(" ")
            mount_point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), escaped)
            if mount_point == root or mount_point.startswith(f"{root}/"):
                mounts.append((mount_point, sum(_KEPT.get(option, 0) for option in options.split(","))))
    return mounts
