"""The fork server: imports what programs use once, then forks one child at a time.

Arguments: the descriptor of the control socket (SOCK_SEQPACKET), the tier, and the folders of installed packages. The
first message is `{"ready": ...}` or `{"refused": reason}`. Then each request brings descriptors and ends with
`{"status", "cpu", "peak"}`; `kill` ends its program early.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import types

from . import confine, namespaces, prelude, program

# What programs for contests import: parsed and executed once instead of in every run.
_MODULES = (
    "abc array ast asyncio atexit base64 bisect builtins calendar cmath codecs collections collections.abc contextlib "
    "copy ctypes dataclasses datetime decimal encodings.idna enum fractions functools gc getpass hashlib heapq inspect "
    "io itertools json linecache locale math numbers operator os pickle platform pprint queue random re resource "
    "secrets select shlex signal statistics string struct subprocess sys tempfile textwrap threading time timeit "
    "tokenize traceback types typing unicodedata uuid warnings weakref zlib numpy"
)
# Installed packages that programs may import; all others stay out of sight, so that no verdict depends on them.
_PACKAGES = ("numpy", "scipy", "sympy", "mpmath", "sortedcontainers")
_READABLE = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo"),
    *("/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
)
_PARENT_CHECK_SECONDS = 5.0


def main() -> None:
    os.environ.pop("LD_LIBRARY_PATH", None)  # served to find libpython; programs have no use for it
    control = socket.socket(fileno=_out_of_the_way(int(sys.argv[1])))
    tier, package_folders = sys.argv[2], sys.argv[3:]
    try:
        surroundings = _prepare(control, tier, package_folders)
    except (OSError, ImportError) as error:
        control.send(json.dumps({"refused": str(error)}).encode())
        return
    _serve(surroundings)


def _out_of_the_way(descriptor: int) -> int:
    """The same file under a number above those that a program's own descriptors get."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 32)
    os.close(descriptor)
    return moved


def _prepare(control: socket.socket, tier: str, package_folders: list[str]) -> program.Surroundings:
    confine.number("clone")  # refuses an unknown architecture before anything else
    abi = confine.landlock_abi()
    if tier == "landlock" and abi == 0:
        raise OSError("this kernel has no Landlock")
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("500")  # if memory runs out, a program goes before the training does
    readable = _readable(package_folders)
    if tier == "namespaces":
        namespaces.enter()
    own_memory = open("/proc/self/statm", "rb", buffering=0)  # noqa: SIM115, stays open: there may be no /proc below
    if tier == "namespaces":
        namespaces.change_root(readable)
    sys.path += package_folders
    for name in _MODULES.split():
        try:
            importlib.import_module(name)
        except ImportError:
            if name != "numpy":
                raise
    pages = int(own_memory.read(256).split()[0])
    own_memory.close()
    rules = confine.landlock_rules(readable, names=package_folders)
    rules = None if rules is None else _out_of_the_way(rules)
    for binary in (None, program.PROGRAM):
        confine.seccomp_filter(pid=0, binary=binary)  # cached for the children
    surroundings = program.Surroundings(
        control, rules, pages * os.sysconf("SC_PAGESIZE"), _with_names(), _own_modules()
    )
    gc.collect()
    gc.freeze()  # the collector of a child would touch, and so copy, every page
    control.send(json.dumps({"ready": {"landlock": abi}}).encode())
    return surroundings


def _with_names() -> types.ModuleType:
    """A module that has run the prelude. In a child that would copy the page of every object that it names."""
    module = types.ModuleType("__main__")
    exec(prelude.NAMES, module.__dict__)
    return module


def _own_modules() -> tuple[str, ...]:
    return tuple(name for name in sys.modules if name.partition(".")[0] == __package__)


def _readable(package_folders: list[str]) -> list[str]:
    packages = [f"{folder}/{name}{end}" for folder in package_folders for name in _PACKAGES for end in ("", ".libs")]
    libraries = set()
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            path = line.rstrip("\n").split(" ", 5)[-1].strip()
            if ".so" in path and path.startswith("/"):
                libraries.add(os.path.dirname(path))
    return [*_READABLE, os.path.dirname(os.__file__), *sorted(libraries), *packages]


def _serve(surroundings: program.Surroundings) -> None:
    control = surroundings.control
    control.settimeout(_PARENT_CHECK_SECONDS)
    parent = os.getppid()
    ended, wake = os.pipe()
    for end in (ended, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while os.getppid() == parent:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 5, socket.MSG_CMSG_CLOEXEC)
        except TimeoutError:
            continue
        if not message:  # the host closed it, or died
            return
        if not descriptors:  # "kill" for a program that had just ended
            continue
        request = program.Request(**json.loads(message))
        own_pid, child = os.getpid(), os.fork()
        if child == 0:
            control.settimeout(None)
            program.run(request, descriptors, surroundings, own_pid)
        for descriptor in descriptors:
            os.close(descriptor)
        outcome = _wait_for(child, control, ended)
        if outcome is None:
            return
        control.send(json.dumps(outcome).encode())


def _wait_for(child: int, control: socket.socket, ended: int) -> dict | None:
    """The child's end; kills it if the host says so. None if the host has gone."""
    events = select.poll()
    events.register(control, select.POLLIN)
    events.register(ended, select.POLLIN)
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            break
        for descriptor, _ in events.poll():
            if descriptor == ended:
                os.read(ended, 4096)
                continue
            order = control.recv(64)
            os.kill(child, signal.SIGKILL)
            if not order:
                os.waitpid(child, 0)
                return None
    if os.getpid() == 1:  # a process that the program may have left behind ends here; none can, by seccomp
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
    return {"status": status, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}
