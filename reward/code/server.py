"""The host's side of one fork server (`inside.zygote`): start it, run programs in it one after the other, end it."""

import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Everything the fork server's environment holds: a program can read it on the stack. One thread for numpy, and the same
# order of sets in every run.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",  # each further arena reserves 64 MiB of the program's address space
}
_START_SECONDS = 60.0  # importing numpy takes 0.1 s here, much longer on a network file system
_REPLY_SECONDS = 10.0
_TICK_SECONDS = 0.05
_MAX_THREADS = 256
_KEPT_OF_STDERR = 4096
_CREDENTIALS = struct.calcsize("3i")


class ServerLost(RuntimeError):
    """The fork server refused to start, died or does not answer: no verdict about the program."""


def launcher(module: str) -> list[str]:
    """The command that runs a module of `inside`, to be followed by its arguments.

    -S, -s: nothing but the standard library on the path, whatever is installed into this environment.
    """
    load = f"import sys; sys.path[0] = sys.argv.pop(1); from inside import {module}; del sys.path[0]"
    return [sys.executable, "-S", "-s", "-B", "-c", f"{load}; {module}.main()", str(Path(__file__).parent)]


@dataclass(frozen=True)
class Task:
    """One run, in the words of `inside.program.Request`, with its limits for the host."""

    language: str
    function: str | None
    typed: bool
    prelude: bool
    program: bytes
    stdin: bytes
    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class Observed:
    """What happened: how the process ended, by itself or stopped because of a limit."""

    stopped: str | None  # "cpu", "wall", "output", "threads"
    status: int  # as from os.wait
    stdout: bytes
    stderr: bytes  # its end
    value: bytes
    cpu_seconds: float
    wall_seconds: float
    starved_seconds: float  # ready to run, but on no core
    peak_bytes: int


class Server:
    """One fork server. Not thread-safe: one run at a time.

    Args:
        tier: "namespaces" or "landlock".

    Raises:
        ServerLost: it did not start; `refused` in its arguments tells what the kernel does not allow.
    """

    def __init__(self, tier: str):
        self._control, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        packages = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}  # to find libpython
        with far_end:
            self._process = subprocess.Popen(
                [*launcher("zygote"), str(far_end.fileno()), tier, *packages],
                env=_ENVIRONMENT | kept,
                cwd="/",
                pass_fds=[far_end.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is for the host
            )
        self.idle_since = time.monotonic()
        try:
            reply, _ = self._receive(_START_SECONDS)
        except ServerLost:
            self.kill()
            raise
        self.refused: str | None = reply.get("refused")
        if self.refused is not None:
            self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, task: Task) -> Observed:
        """Raises ServerLost; the server is then of no further use, except to be killed."""
        with contextlib.ExitStack() as open_files:
            memory_files = [_sealed("program", task.program), _sealed("stdin", task.stdin)]
            for descriptor in memory_files:
                open_files.callback(os.close, descriptor)
            readers = []
            with contextlib.ExitStack() as far_ends:
                writers = []
                for _ in ("stdout", "stderr", "value"):
                    reader, writer = os.pipe()
                    open_files.callback(os.close, reader)
                    far_ends.callback(os.close, writer)
                    os.set_blocking(reader, False)
                    readers.append(reader)
                    writers.append(writer)
                # RLIMIT_CPU, in whole seconds, is for the case that the host is gone or stopped.
                request = {
                    "language": task.language,
                    "function": task.function,
                    "typed": task.typed,
                    "prelude": task.prelude,
                    "cpu_seconds": int(task.cpu_seconds) + 2,
                    "memory_bytes": task.memory_bytes,
                }
                try:
                    socket.send_fds(self._control, [json.dumps(request).encode()], [*memory_files, *writers])
                except OSError as error:
                    raise ServerLost(f"the jail's fork server has ended: {error}") from error
            return _Watch(self, task, readers).until_end()

    def stop_program(self) -> None:
        with contextlib.suppress(OSError):
            self._control.send(b"kill")

    def fileno(self) -> int:
        return self._control.fileno()

    def receive(self) -> tuple[dict[str, Any], int]:
        return self._receive(_REPLY_SECONDS)

    def _receive(self, timeout_seconds: float) -> tuple[dict[str, Any], int]:
        """The next message, {} for a program's start, and the process number of its sender as this host sees it."""
        self._control.settimeout(timeout_seconds)
        try:
            message, ancillary, _, _ = self._control.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS))
        except OSError as error:  # TimeoutError included
            raise ServerLost(f"the jail's fork server does not answer: {error}") from error
        if not message:
            raise ServerLost("the jail's fork server has ended")
        sender = struct.unpack("3i", ancillary[0][2])[0] if ancillary else 0
        return ({} if message == b"started" else json.loads(message)), sender

    def kill(self) -> None:
        """End it and all its processes, which the kernel ends with it."""
        self._process.kill()
        self._process.wait()
        self._control.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's server without ending it."""
        self._control.close()
        self._process.returncode = 0  # not this process's child: nothing to wait for


class _Watch:
    """Reads one program's output and holds it to its limits."""

    def __init__(self, server: Server, task: Task, readers: list[int]):
        self._server, self._task = server, task
        self._stdout, self._stderr, self._value = readers
        self._outputs: dict[int, bytearray] = {reader: bytearray() for reader in readers}
        self._num_stderr_bytes = 0
        self._events = select.poll()
        for descriptor in (*readers, server.fileno()):
            self._events.register(descriptor, select.POLLIN)
        self._open = set(readers)
        self._pid = 0
        self._stopped: str | None = None
        self._starved = 0.0
        self._started = time.monotonic()

    def until_end(self) -> Observed:
        deadline = self._started + self._task.wall_seconds
        end = None
        while end is None:
            wait = min(_TICK_SECONDS, max(0.0, deadline - time.monotonic()))
            ready = [descriptor for descriptor, _ in self._events.poll(wait * 1000)]
            if self._server.fileno() in ready:
                end = self._message()
            for descriptor in self._open.intersection(ready):
                self._read(descriptor)
            if self._stopped is None:
                self._check_limits(deadline)
            elif time.monotonic() > self._stop_deadline:
                raise ServerLost("the jail's fork server does not end its program")
        for descriptor in list(self._open):  # not until the end of file: a fork of this process may hold the far end
            while descriptor in self._open and self._read(descriptor):
                pass
        cpu = float(end["cpu"])
        if cpu > self._task.cpu_seconds and self._stopped in (None, "wall"):
            self._stopped = "cpu"
        return Observed(
            stopped=self._stopped,
            status=end["status"],
            stdout=bytes(self._outputs[self._stdout]),
            stderr=bytes(self._outputs[self._stderr]),
            value=bytes(self._outputs[self._value]),
            cpu_seconds=cpu,
            wall_seconds=time.monotonic() - self._started,
            starved_seconds=self._starved,
            peak_bytes=end["peak"],
        )

    def _message(self) -> dict[str, Any] | None:
        message, sender = self._server.receive()
        if message == {}:
            self._pid = sender
            return None
        if "broken" in message:
            raise ServerLost(f"the jail cannot confine a program: {message['broken']}")
        return message

    def _read(self, descriptor: int) -> bool:
        """Whether there was anything."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._open.discard(descriptor)
            self._events.unregister(descriptor)
            return False
        output = self._outputs[descriptor]
        output += data
        if descriptor == self._stderr:
            self._num_stderr_bytes += len(data)
            del output[:-_KEPT_OF_STDERR]
        if max(len(output), self._num_stderr_bytes) > self._task.output_bytes:
            del output[self._task.output_bytes :]
            self._stop("output")
        return True

    def _check_limits(self, deadline: float) -> None:
        if self._pid == 0:
            cpu_seconds, num_threads = 0.0, 1
        else:
            cpu_seconds, num_threads = _usage(self._pid)
        if cpu_seconds > self._task.cpu_seconds:
            self._stop("cpu")
        elif num_threads > _MAX_THREADS:
            self._stop("threads")
        elif time.monotonic() > deadline:
            self._starved = _starved_seconds(self._pid)
            self._stop("wall")

    def _stop(self, reason: str) -> None:
        if self._stopped is None:
            self._stopped = reason
            self._stop_deadline = time.monotonic() + _REPLY_SECONDS
            self._server.stop_program()


def _sealed(name: str, content: bytes) -> int:
    """A file in memory that nobody can change any more."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(
        descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    )
    return descriptor


def _usage(pid: int) -> tuple[float, int]:
    """CPU seconds and threads of a process: proc(5), /proc/pid/stat; (0, 1) once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0, 1
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[17])


def _starved_seconds(pid: int) -> float:
    """How long the threads of a process were ready to run while no core was free for them (schedstat, nanoseconds).

    A kernel without these statistics says nothing about load: infinite, so that the run is repeated.
    """
    total = 0
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[1])
    except OSError:
        return float("inf")
    return total / 1e9
