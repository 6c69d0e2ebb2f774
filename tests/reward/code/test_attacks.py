"""Each attack must be refused or end in the right limit, in every tier, as root and as an ordinary user."""

import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from reward.code.inside import confine, syscalls
from reward.code.jail import Jail, JailUnavailable, Limits, PythonProgram
from tests.reward.code.attacks import LIMITS, LIMITS_FUNCTION, REFUSED, attempts
from tests.reward.code.hosts import ROOT, RemoteJail

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")

HERE = {"namespaces": ("namespaces", {}), "landlock": ("landlock", {})}
ELSEWHERE = {"namespaces, no Landlock": ("namespaces", {"without": ("landlock",)})}
AS_NOBODY = {
    "namespaces, ordinary user": ("namespaces", {"nobody": True}),
    "namespaces, no Landlock, ordinary user": ("namespaces", {"nobody": True, "without": ("landlock",)}),
    "landlock, ordinary user": ("landlock", {"nobody": True}),
}
SHORT = Limits(cpu_seconds=0.5, memory_mb=256, output_bytes=1 << 20)
GENEROUS = Limits(cpu_seconds=5.0)


OTHER = {**ELSEWHERE, **(AS_NOBODY if os.geteuid() == 0 else {})}


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow, *[pytest.mark.exhaustive] * ("no Landlock" in name)]


@pytest.fixture(scope="module", params=[*HERE, *(pytest.param(name, marks=_marks(name)) for name in OTHER)])
def jail(request):
    tier, options = {**HERE, **OTHER}[request.param]
    try:
        jail = RemoteJail(tier, **options) if options else Jail(tier)
    except JailUnavailable as error:
        pytest.skip(str(error))
    assert jail.tier == tier
    yield jail
    jail.close()


class Bait:
    """A folder of the host with a secret and listening sockets, open to everybody but the jail."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.chmod(0o777)
        self.secret = folder / "secret"
        self.secret.write_text("not for programs")
        self.secret.chmod(0o666)
        self.stream, self.datagram = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        for server, name in ((self.stream, "stream"), (self.datagram, "datagram")):
            server.bind(str(folder / name))
            (folder / name).chmod(0o777)
        self.stream.listen()
        self.before = self.state()

    def state(self) -> list:
        status = {p: p.lstat() for p in (*sorted(self.folder.iterdir()), Path(os.__file__))}
        files = [(p, s.st_ino, s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for p, s in status.items()]
        return [files, *(Path(f"/proc/sysvipc/{kind}").read_text() for kind in ("shm", "sem", "msg"))]

    def visited(self) -> bool:
        for server in (self.stream, self.datagram, self.tcp):
            server.setblocking(False)
        found = False
        for contact in (self.stream.accept, self.tcp.accept, lambda: self.datagram.recv(9)):
            try:
                contact()
                found = True
            except BlockingIOError:
                pass
        return found

    def fill(self, expression: str) -> str:
        port = self.tcp.getsockname()[1]
        for name, value in (("bait", self.folder), ("root", ROOT), ("port", port), ("host", os.getpid())):
            expression = expression.replace(f"{{{name}}}", str(value))
        return expression


@pytest.fixture
def bait():
    with tempfile.TemporaryDirectory() as folder:
        bait = Bait(Path(folder))
        yield bait
        for server in (bait.stream, bait.datagram, bait.tcp):
            server.close()


@pytest.mark.parametrize("kind", REFUSED)
def test_the_kernel_refuses(jail, bait, kind):
    run = jail.run(PythonProgram(attempts([bait.fill(e) for e in REFUSED[kind]])), b"1 2", GENEROUS)
    assert (run.stdout.decode(), run.ending) == ("held\n", "finished"), run
    assert bait.state() == bait.before
    assert not bait.visited()


def test_the_same_attempts_work_outside(bait):
    expressions = [
        "open('{bait}/secret').read()",
        "os.chmod('{bait}/secret', 0o640)",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '{bait}/datagram')",
        "socket.create_connection(('127.0.0.1', {port}), 1)",
        "os.kill({host}, 0)",
        "fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, {host})",
        "os.posix_spawn('/bin/true', ['true'], {})",
    ]
    program = attempts([bait.fill(e) for e in expressions])
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stdout
    assert output.count("worked:") == len(expressions), output
    assert bait.visited() and bait.state() != bait.before


@pytest.mark.parametrize("name", LIMITS)
def test_the_limit_ends(jail, name):
    source, ending = LIMITS[name]
    started = time.monotonic()
    run = jail.run(PythonProgram(source, LIMITS_FUNCTION.get(name)), b"", SHORT)
    assert run.ending == ending if ending else run.ending != "finished", run
    assert time.monotonic() - started < 3 * SHORT.wall_seconds + 20  # with all of a loaded host's delays
    assert len(run.stdout) <= SHORT.output_bytes
    assert run.value is None
    assert jail.run(PythonProgram("print(input())"), b"next", GENEROUS).stdout == b"next\n"


def test_neither_environment_nor_descriptors_nor_memory_hold_anything_of_the_host(jail, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "not for programs")
    program = """
import ctypes, gc, os, sys
print(sorted(os.environ))
print([d for d in range(3, 256) if ctypes.CDLL(None).fcntl(d, 1) >= 0])
pointers = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
i, names = 0, []
while pointers[i]: names.append(pointers[i].split(b"=")[0].decode()); i += 1
print(sorted(names))
print([text for text in gc.get_objects() if isinstance(text, dict) and "earlier program" in map(str, text.values())])
"""
    jail.run(PythonProgram("x = 'earlier program'"), b"", GENEROUS)
    lines = jail.run(PythonProgram(program), b"", GENEROUS).stdout.decode().splitlines()
    names = "['LC_ALL', 'MALLOC_ARENA_MAX', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PATH', "
    names += "'PYTHONHASHSEED']"
    assert lines == [names, "[]", names, "[]"]


def test_a_new_kernel_s_system_calls_are_unknown(jail):
    program = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    program += "print({(libc.syscall(n), ctypes.get_errno()) for n in range(451, 600)})"
    run = jail.run(PythonProgram(program), b"", GENEROUS)
    assert run.stdout == b"{(-1, 38)}\n"


def _verdict(program: bytes, number: int, *arguments: int, architecture: int) -> int:
    """What a filter answers: an interpreter of the six instructions in use."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(*arguments, *[0] * 6)[:6])
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        code, true, false, constant = instructions[position]
        position += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, constant)
            case 0x54:
                accumulator &= constant
            case 0x15:
                position += true if accumulator == constant else false
            case 0x35:
                position += true if accumulator >= constant else false
            case 0x45:
                position += true if accumulator & constant else false
            case 0x06:
                return constant
            case _:
                raise AssertionError(hex(code))


ALLOW, KILL, EPERM, EACCES, ENOSYS = 0x7FFF0000, 0x80000000, 0x50001, 0x5000D, 0x50026
READ = {"x86_64": 0, "aarch64": 63}


@pytest.mark.parametrize(("machine", "column", "architecture"), [("x86_64", 0, 0xC000003E), ("aarch64", 1, 0xC00000B7)])
def test_the_filter_decides_by_number_and_arguments(machine, column, architecture):
    def ask(name_or_number, *arguments, binary=None):
        known = {**syscalls.EXECUTION, **syscalls.FILES, **syscalls.FORBIDDEN, **syscalls.EXAMINED}
        number = known[name_or_number][column] if isinstance(name_or_number, str) else name_or_number
        program = confine.seccomp_filter(7, binary, machine)
        return _verdict(program, number, *arguments, architecture=architecture)

    for table in (syscalls.EXECUTION, syscalls.FILES, syscalls.FORBIDDEN):
        assert {ask(row[column]) for row in table.values() if row[column] is not None} == {EPERM}
    tables = (syscalls.EXECUTION, syscalls.FILES, syscalls.FORBIDDEN, syscalls.EXAMINED)
    named = {row[column] for table in tables for row in table.values()}
    assert {ask(number) for number in range(syscalls.NEWEST + 1) if number not in named} == {ALLOW}
    assert ask("kill", 7, 9) == ask("tgkill", 7, 7, 6) == ask("prlimit64", 0) == ALLOW
    assert ask("kill", 8, 9) == ask("kill", 0xFFFFFFFF, 9) == ask("kill", 0, 9) == ask("prlimit64", 8) == EPERM
    assert ask("clone", 0x3D0F00) == ALLOW  # the flags of pthread_create
    assert ask("clone", 17) == ask("clone", 0x3D0F00 | 0x10000000) == EPERM
    assert ask("clone3") == ask("openat2") == ask(451) == ENOSYS
    assert ask("openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC) == ALLOW
    assert ask("openat", 0, 0, os.O_RDONLY | os.O_TRUNC) == ask("openat", 0, 0, os.O_RDWR) == EACCES
    assert ask("sendto", 3, 0, 0, 0, 0) == ask("socketpair", 1, 0x80801) == ALLOW
    assert ask("sendto", 3, 0, 0, 0, 1 << 32) == ask("socketpair", 1, 2) == ask("socketpair", 2, 1) == EPERM
    assert ask("execveat", 4, 0, 0, 0, 0x1000, binary=4) == ALLOW
    assert ask("execveat", 5, 0, 0, 0, 0x1000, binary=4) == ask("execveat", 4, 0, 0, 0, 0, binary=4) == EPERM
    assert _verdict(confine.seccomp_filter(7, None, machine), READ[machine], architecture=0x40000003) == KILL
    compiling = confine.compiler_filter(machine)
    assert _verdict(compiling, syscalls.EXECUTION["execve"][column], architecture=architecture) == ALLOW
    assert _verdict(compiling, syscalls.FORBIDDEN["socket"][column], architecture=architecture) == EPERM


def test_an_unknown_architecture_is_refused():
    with pytest.raises(OSError, match="riscv64"):
        confine.seccomp_filter(7, machine="riscv64")


@pytest.mark.parametrize("column", [0, 1])
def test_the_tables_hold_the_numbers_of_the_kernel_s_headers(column):
    header = Path(["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h"][column])
    if not header.exists():
        pytest.skip("no kernel headers here")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    defined = {name: int(number) for name, number in found}
    for table in (syscalls.EXECUTION, syscalls.FILES, syscalls.FORBIDDEN, syscalls.EXAMINED):
        for name, row in table.items():
            assert row[column] == defined.get(name), name
