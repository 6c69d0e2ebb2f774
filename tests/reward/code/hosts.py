"""Jails as they are on other hosts: started by an ordinary user, or on a kernel without Landlock or user namespaces.

`RemoteJail` speaks to this file run as a script, which first changes its own surroundings.
"""

import ctypes
import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

from reward.code.inside import confine, namespaces
from reward.code.jail import Binary, Jail, JailUnavailable, Limits, PythonProgram, Run

ROOT = Path(__file__).resolve().parents[3]
NOBODY = 65534


class RemoteJail:
    """A jail in a process of its own.

    Args:
        tier: as for Jail.
        nobody: whether the process gives up root for an ordinary user.
        without: what the kernel lacks there: "landlock", "namespaces".
    """

    def __init__(self, tier: str, nobody: bool = False, without: tuple[str, ...] = ()):
        options = json.dumps({"tier": tier, "nobody": nobody, "without": without})
        self.process = subprocess.Popen(
            [sys.executable, __file__, options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.tier = self._reply()

    def run(self, program: PythonProgram | Binary, stdin: bytes, limits: Limits) -> Run:
        pickle.dump((program, stdin, limits), self.process.stdin)
        self.process.stdin.flush()
        return self._reply()

    def _reply(self):
        reply = pickle.load(self.process.stdout)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


def _become_nobody() -> None:
    """In a mount namespace in which the interpreter can be reached, wherever root keeps it."""
    confine.call("unshare", namespaces._NEW_MOUNT)
    confine.call("mount", None, b"/", None, namespaces._RECURSIVE | namespaces._PRIVATE, None)
    needed = sorted({sys.base_prefix, os.path.realpath(sys.prefix), str(ROOT)})
    held = {path: os.open(path, os.O_PATH) for path in needed}
    for path in needed:
        closed = [str(p) for p in Path(path).parents if not p.stat().st_mode & 0o001]
        if closed:
            confine.call("mount", b"open", closed[-1].encode(), b"tmpfs", 0, b"mode=755")
            Path(path).mkdir(parents=True)
            source = f"/proc/self/fd/{held[path]}".encode()
            confine.call("mount", source, path.encode(), None, namespaces._BIND | namespaces._RECURSIVE, None)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _take_away(without: list[str]) -> None:
    """As on a kernel without Landlock (ENOSYS), or with user namespaces switched off (EPERM)."""
    numbers = {"landlock": [(444, 38), (445, 38), (446, 38)], "namespaces": [(confine.number("unshare"), 1)]}
    program = struct.pack("HBBI", 0x20, 0, 0, 0)
    for name in without:
        for number, error in numbers[name]:
            program += struct.pack("HBBI", 0x15, 0, 1, number) + struct.pack("HBBI", 0x06, 0, 0, 0x50000 | error)
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
    confine.seccomp(program + struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))


def main() -> None:
    options = json.loads(sys.argv[1])
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def reply(value: object) -> None:
        pickle.dump(value, replies)
        replies.flush()

    if options["nobody"]:
        _become_nobody()
    _take_away(options["without"])
    try:
        jail = Jail(options["tier"])
    except JailUnavailable as error:
        reply(error)
        return
    reply(jail.tier)
    while True:
        try:
            program, stdin, limits = pickle.load(sys.stdin.buffer)
        except EOFError:
            break
        try:
            reply(jail.run(program, stdin, limits))
        except Exception as error:
            reply(error)
    jail.close()


if __name__ == "__main__":
    main()
