"""The process of one program: confines itself, runs the program, exits. Forked by `zygote`."""

import atexit
import fcntl
import gc
import io
import itertools
import json
import os
import signal
import socket
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from . import confine, prelude, values

EXIT_FAILED, EXIT_MEMORY = 1, 86  # an exception; MemoryError
_STDERR, VALUE, PROGRAM, _MOST = 2, 3, 4, 256  # descriptors
_PYTHON_STACK_BYTES = 64 << 20  # for recursion in C code
# By these a program can replace a name of its module that does not stand in its code.
_WITHOUT_NAMING = {"exec", "globals", "locals", "vars", "setattr", "modules", "__dict__", "__import__", "import_module"}


@dataclass(frozen=True)
class Request:
    """What to run, as the parent sends it. Its descriptors come along: program, stdin, stdout, stderr, value."""

    language: str
    function: str | None
    typed: bool
    prelude: bool
    cpu_seconds: int
    memory_bytes: int


@dataclass(frozen=True)
class Surroundings:
    """What the fork server prepares once for all programs."""

    control: socket.socket
    landlock_rules: int | None
    address_space_bytes: int
    with_names: types.ModuleType  # in which a program with the prelude runs
    own_modules: tuple[str, ...]  # this package's, which no program gets to see


def run(request: Request, descriptors: list[int], surroundings: Surroundings, parent: int) -> NoReturn:
    """A failure before the program starts is reported to the host, as it is no verdict."""
    control = surroundings.control
    try:
        control.send(b"started")  # the kernel adds the number of this process, as the host sees it
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        confine.die_with(parent)
        os.setsid()
        _place(descriptors, kept=_STDERR if request.function is None else VALUE)
        if request.language == "binary":
            _execute(request, surroundings)
        text = _read_all(PROGRAM)
        lines = b"" if request.function is None else _read_all(0)
        if request.function is not None:
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        _confine(surroundings, confine.seccomp_filter(os.getpid()))
        memory = surroundings.address_space_bytes + request.memory_bytes
        confine.set_limits(memory, request.cpu_seconds, _PYTHON_STACK_BYTES)
    except BaseException as error:
        try:
            control.send(json.dumps({"broken": f"{type(error).__name__}: {error}"}).encode())
        finally:
            os._exit(EXIT_FAILED)
    control.detach()
    os.closerange(VALUE if request.function is None else PROGRAM, _MOST)
    _interpret(text, request, lines, surroundings)


def _place(descriptors: list[int], kept: int) -> None:
    """Move the five descriptors to 0-4; those above `kept` end with an execve."""
    program, stdin, stdout, stderr, value = (fcntl.fcntl(d, fcntl.F_DUPFD_CLOEXEC, 64) for d in descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    for number, descriptor in enumerate((stdin, stdout, stderr, value, program)):
        os.dup2(descriptor, number, inheritable=number <= kept)


def _read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def _confine(surroundings: Surroundings, seccomp_filter: bytes) -> None:
    confine.give_up_privileges()
    if surroundings.landlock_rules is not None:
        confine.landlock(surroundings.landlock_rules)
    confine.seccomp(seccomp_filter)


def _execute(request: Request, surroundings: Surroundings) -> NoReturn:
    for name in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and an execve would keep that
        signal.signal(name, signal.SIG_DFL)
    _confine(surroundings, confine.seccomp_filter(os.getpid(), binary=PROGRAM))
    # A quarter: recursion 10^6 deep fits, and a thread, which reserves as much, as well.
    confine.set_limits(request.memory_bytes, request.cpu_seconds, stack_bytes=request.memory_bytes // 4)
    os.execve(PROGRAM, ["solution"], {})


def _interpret(text: bytes, request: Request, lines: bytes, surroundings: Surroundings) -> NoReturn:
    """As `python solution.py` would, its end included, or as an imported module whose function is called."""
    exit_now, function = os._exit, request.function  # before the program can replace it
    for name in surroundings.own_modules:
        del sys.modules[name]
    _open_streams()
    if request.prelude:
        module = surroundings.with_names
        prelude.set_limits()
    else:
        module = types.ModuleType("__main__")
    # A module that is imported does not run what stands below `if __name__ == "__main__"`.
    module.__name__ = "__main__" if function is None else "solution"
    sys.modules[module.__name__] = module
    sys.argv = ["solution.py"]
    status, code, num_given = 0, None, len(module.__dict__)
    try:
        code = compile(text.decode(), "solution.py", "exec", dont_inherit=True)
        exec(code, module.__dict__)
        if function is not None:
            _answer(module, function, lines, request.typed)
            exit_now(0)
    except SystemExit as error:
        if not isinstance(error.code, int | None):
            print(error.code, file=sys.stderr)
    except MemoryError:
        status = EXIT_MEMORY
    except BaseException as error:
        status = EXIT_FAILED
        _report(error)
    try:
        _finish(module.__dict__, num_given, code)
    except MemoryError:
        status = status or EXIT_MEMORY
    except BaseException as error:
        status = status or EXIT_FAILED
        _report(error)
    exit_now(status)


def _open_streams() -> None:
    """Text streams as Python opens them in the C.UTF-8 locale."""

    def text(descriptor: int, mode: str, errors: str) -> io.TextIOWrapper:
        return io.TextIOWrapper(open(descriptor, mode, closefd=False), "utf-8", errors, line_buffering=descriptor == 2)

    sys.stdin = sys.__stdin__ = text(0, "rb", "surrogateescape")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = text(1, "wb", "surrogateescape")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = text(2, "wb", "backslashreplace")  # type: ignore[misc]


def _answer(module: types.ModuleType, function: str, lines: bytes, typed: bool) -> None:
    """Call the function with the values of the lines, JSON or `typed` as in `values`, and write what it returns."""
    encode, write, scalars = values.encode, os.write, values.numpy_scalars()
    texts = [line for line in lines.decode().split("\n") if line.strip()]
    arguments = [values.decode(text.encode()) if typed else json.loads(text) for text in texts]
    names = module.__dict__
    target = getattr(names["Solution"](), function) if "Solution" in names else names[function]
    rest = memoryview(f"{encode(target(*arguments), scalars, typed)}\n".encode())
    while rest:
        rest = rest[write(VALUE, rest) :]


def _finish(names: dict[str, Any], num_given: int, code: types.CodeType | None) -> None:
    """What an interpreter does at its end: wait for threads, call exit handlers, let unclosed files flush."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    _release(names, num_given, set() if code is None else set(_names_in(code)))
    gc.collect()
    for stream in (sys.stdout, sys.__stdout__):
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()


def _release(names: dict[str, Any], num_given: int, used: set[str]) -> None:
    """Remove from the module what the program put there: names after the given ones, and those that its code uses.

    The prelude's other objects stay: releasing one writes to its reference count, which copies its page.
    """
    if used & _WITHOUT_NAMING:
        names.clear()
    added = list(itertools.islice(reversed(names), max(0, len(names) - num_given)))
    for name in (*reversed(added), *used):
        names.pop(name, None)


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def _report(error: BaseException) -> None:
    text = "".join(traceback.format_exception_only(type(error), error))
    os.write(2, text.encode(errors="backslashreplace")[-4096:])
