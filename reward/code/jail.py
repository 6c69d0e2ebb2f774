"""Run untrusted programs, one process each, and report how they ended. See README.md.

The jail knows no expected output and passes no verdict: whoever compares does so on the host.
"""

import contextlib
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from reward.code.inside.program import EXIT_MEMORY
from reward.code.server import Observed, Server, ServerLost, Task
from reward.code.slots import Slots, default_count

Ending = Literal["finished", "failed", "cpu", "wall", "memory", "output"]
Tier = Literal["namespaces", "landlock"]

_TRIES = 3
_REPEATS = 2  # of a run that the host spoilt
_STARVED = 0.1  # share of the wall-clock limit without a core from which the host, not the program, was too slow
_NEAR_LIMIT = 0.9  # a process that the kernel killed at this share of its memory limit ran out of memory
_MAX_IDLE_SECONDS = 60.0
_MESSAGE_CHARACTERS = 200


class JailError(RuntimeError):
    """The jail itself failed, three times: says nothing about the program."""


class JailUnavailable(RuntimeError):
    """This host has neither user namespaces nor Landlock."""


@dataclass(frozen=True)
class Limits:
    """Of one run. CPU time decides; the wall clock, 3 x `cpu_seconds` + 1 s, ends programs that wait.

    Args:
        cpu_seconds: of all threads together, confinement included (milliseconds).
        memory_mb: MiB of address space, for Python beyond the interpreter's own.
        output_bytes: of stdout, of stderr, and of a returned value, each.
    """

    cpu_seconds: float = 6.0
    memory_mb: int = 1024
    output_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "memory_mb", "output_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def wall_seconds(self) -> float:
        return 3 * self.cpu_seconds + 1


@dataclass(frozen=True)
class PythonProgram:
    """Python source that reads stdin, or whose function is called.

    `function`, a method of the class Solution or else a function of the module, gets the JSON values on the lines of
    stdin; with `typed`, values as in `inside.values`, which it can then return as well. The module is then not
    `__main__`, and its own stdin is empty. With `prelude`, it has the names and limits of `inside.prelude`.
    """

    source: str
    function: str | None = None
    typed: bool = False
    prelude: bool = False


@dataclass(frozen=True)
class Binary:
    """A statically linked executable, from `cpp.compile_cpp`, that writes to stdout or, with `answers`, a value as in
    `inside.values` to descriptor 3.
    """

    image: bytes
    answers: bool = False


@dataclass(frozen=True)
class Run:
    """How a program ended.

    Args:
        ending: `finished`: exit code 0, or SystemExit with any; `failed`: another exit code, an exception or a signal;
            `cpu`, `wall`, `memory`, `output`: the limit that it exceeded.
        stdout: cut at the limit.
        value: what the function returned, for `inside.values.decode`; None unless it returned exactly one value.
        message: last line of stderr, or how it was ended: at most 200 printable characters.
        cpu_seconds: of the program's process.
        wall_seconds: of the program's process.
        waited_seconds: for slots, retries included.
        retries: runs before this one that were the host's fault.
    """

    ending: Ending
    stdout: bytes
    value: bytes | None
    message: str
    cpu_seconds: float
    wall_seconds: float
    waited_seconds: float
    retries: int


class Jail:
    """Safe to call from many threads and processes, and after a fork of either.

    Args:
        tier: how programs are confined; `auto` takes `namespaces` where the host allows them.
        slots: how many programs run at a time on this host; 0: its cores minus 2, at least 1.

    Raises:
        JailUnavailable: the host cannot confine programs in this way.
    """

    def __init__(self, tier: Literal["auto", "namespaces", "landlock"] = "auto", slots: int = 0):
        if slots < 0:
            raise ValueError(f"slots must be 0 (cores minus 2) or positive, got {slots}")
        self._slots = Slots(slots or default_count())
        self._closed = False
        self._forget()
        first, self.tier = _first_server(get_args(Tier) if tier == "auto" else (tier,))
        self._servers.add(first)
        self._idle.append(first)
        _all_jails.add(self)

    tier: Tier

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Server] = []
        self._servers: set[Server] = set()

    def run(self, program: PythonProgram | Binary, stdin: bytes, limits: Limits) -> Run:
        """Run a program: once, or up to three times where the host was at fault. Waits for a slot each time.

        Raises:
            JailError: the jail failed three times.
        """
        task = _task(program, stdin, limits)
        waited = 0.0
        losses: list[str] = []
        repeated = 0
        while True:
            asked = time.monotonic()
            with self._slots.all() if repeated else self._slots.one():
                waited += time.monotonic() - asked
                try:
                    observed = self._observe(task)
                except ServerLost as error:
                    losses.append(str(error))
                    if len(losses) == _TRIES:
                        raise JailError(
                            f"the jail failed {_TRIES} times: {'; '.join(dict.fromkeys(losses))}"
                        ) from error
                    continue
            if repeated < _REPEATS and _hosts_fault(observed, task):
                repeated += 1
                continue
            return _run(observed, task, waited, len(losses) + repeated)

    def slot(self) -> contextlib.AbstractContextManager[None]:
        """Hold one of the host's slots, for other work that takes a core."""
        return self._slots.one()

    def close(self) -> None:
        """End all processes. Runs in progress end with JailError."""
        with self._lock:
            self._closed = True
            servers, self._idle = list(self._servers), []
            self._servers.clear()
        for server in servers:
            server.kill()

    def _observe(self, task: Task) -> Observed:
        with self._server() as server:
            return server.run(task)

    @contextlib.contextmanager
    def _server(self) -> Iterator[Server]:
        """An idle fork server or a new one; ended instead of kept if anything goes wrong."""
        with self._lock:
            if self._closed:
                raise JailError("the jail is closed")
            server = self._idle.pop() if self._idle else None
        if server is None:
            server = Server(self.tier)
            with self._lock:
                self._servers.add(server)
            if server.refused is not None:
                raise ServerLost(server.refused)
        try:
            yield server
        except BaseException:
            self._end([server])
            raise
        server.idle_since = time.monotonic()
        with self._lock:
            # The most recently used comes first: surplus ones stay idle and end.
            self._idle.append(server)
            surplus = [s for s in self._idle if server.idle_since - s.idle_since > _MAX_IDLE_SECONDS]
            self._idle = [s for s in self._idle if s not in surplus]
        self._end(surplus)

    def _end(self, servers: list[Server]) -> None:
        with self._lock:
            servers = [server for server in servers if server in self._servers]
            self._servers.difference_update(servers)
        for server in servers:
            server.kill()


_all_jails: "weakref.WeakSet[Jail]" = weakref.WeakSet()


def _forget_in_child() -> None:
    for jail in list(_all_jails):
        for server in list(jail._servers):
            server.abandon()
        jail._forget()


os.register_at_fork(after_in_child=_forget_in_child)


def _first_server(tiers: tuple[Tier, ...]) -> tuple[Server, Tier]:
    reasons = []
    for tier in tiers:
        server = Server(tier)
        if server.refused is None:
            return server, tier
        reasons.append(f"{tier}: {server.refused}")
    raise JailUnavailable(
        f"programs cannot be confined on this host ({'; '.join(reasons)}). Allow unprivileged user namespaces"
        " (Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0; Docker: a seccomp profile that permits"
        " unshare and mount), boot a kernel >= 5.13 with Landlock, or use a Sandbox Fusion service"
    )


def _task(program: PythonProgram | Binary, stdin: bytes, limits: Limits) -> Task:
    if isinstance(program, Binary):
        language, function, image = "binary", "main" if program.answers else None, program.image
        typed = prelude = False
    else:
        # A lone surrogate cannot be written in UTF-8; the program then fails to decode.
        language, function, image = "python", program.function, program.source.encode(errors="surrogatepass")
        typed, prelude = program.typed, program.prelude
    return Task(
        language=language,
        function=function,
        typed=typed,
        prelude=prelude,
        program=image,
        stdin=stdin,
        cpu_seconds=limits.cpu_seconds,
        wall_seconds=limits.wall_seconds,
        memory_bytes=limits.memory_mb << 20,
        output_bytes=limits.output_bytes,
    )


def _killed_from_outside(observed: Observed) -> bool:
    return observed.stopped is None and os.waitstatus_to_exitcode(observed.status) == -signal.SIGKILL


def _hosts_fault(observed: Observed, task: Task) -> bool:
    """Whether load or a lack of memory of the host may have ended the run: worth another one, alone."""
    if observed.stopped == "wall":
        return observed.starved_seconds > _STARVED * task.wall_seconds
    return _killed_from_outside(observed) and observed.peak_bytes < _NEAR_LIMIT * task.memory_bytes


def _run(observed: Observed, task: Task, waited: float, retries: int) -> Run:
    ending, how = _ending(observed, task)
    value = observed.value
    return Run(
        ending=ending,
        stdout=observed.stdout,
        value=value[:-1] if ending == "finished" and value.find(b"\n") == len(value) - 1 >= 1 else None,
        message=(_last_line(observed.stderr) if ending == "failed" else "") or how,
        cpu_seconds=observed.cpu_seconds,
        wall_seconds=observed.wall_seconds,
        waited_seconds=waited,
        retries=retries,
    )


def _ending(observed: Observed, task: Task) -> tuple[Ending, str]:
    """How it ended, and in words if stderr does not say it."""
    match observed.stopped:
        case "cpu":
            return "cpu", f"more than {task.cpu_seconds:g} s of CPU time"
        case "wall":
            return "wall", f"not finished after {task.wall_seconds:g} s"
        case "output":
            return "output", f"more than {task.output_bytes} bytes of output"
        case "threads":
            return "failed", "too many threads"
    code = os.waitstatus_to_exitcode(observed.status)
    out_of_memory: tuple[Ending, str] = "memory", f"more than {task.memory_bytes >> 20} MiB of memory"
    if code == 0:
        return "finished", ""
    if code > 0:
        return out_of_memory if code == EXIT_MEMORY and task.language == "python" else ("failed", "")
    if code == -signal.SIGKILL and observed.peak_bytes >= _NEAR_LIMIT * task.memory_bytes:
        return out_of_memory
    if code == -signal.SIGABRT and b"std::bad_alloc" in observed.stderr:
        return out_of_memory
    return "failed", f"killed by {signal.Signals(-code).name}"


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    line = "".join(c if c.isprintable() else " " for c in lines[-1]) if lines else ""
    return line.strip()[:_MESSAGE_CHARACTERS]


__all__ = ["Binary", "Ending", "Jail", "JailError", "JailUnavailable", "Limits", "PythonProgram", "Run", "Tier"]
