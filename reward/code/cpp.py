"""C++17 programs: compile them with g++ in a looser jail, to run in the strict one.

A precompiled bits/stdc++.h, built once per machine and user, makes a compilation several times faster. Binaries are
static, so that they need no file at run time.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

from reward.code.inside.compiler import REFUSED
from reward.code.jail import Binary, Jail, JailError
from reward.code.server import launcher
from reward.code.slots import private_folder

_FLAGS = ("-std=c++17", "-O2", "-w", "-fmax-errors=5", "-fdiagnostics-color=never", "-fno-diagnostics-show-caret")
_WALL_SECONDS = 90.0
_BINARY_MB, _HEADER_MB = 64, 512
_MAX_MESSAGE_CHARACTERS = 2000
_CACHED_BINARIES = 32  # of 1-3 MB


class CompilerMissing(RuntimeError):
    """No g++ that links statically."""


class CompileError(ValueError):
    """The program does not compile; the message is the compiler's, cut."""


_binaries: OrderedDict[str, Binary] = OrderedDict()
_lock = threading.Lock()


def compile_cpp(source: str, jail: Jail) -> Binary:
    """Compile a C++17 program, unless it was one of this process's last 32.

    Takes a slot of the jail for about 0.3 s, and once per machine for 10 s more.

    Raises:
        CompileError: it does not compile, or not within 30 CPU seconds, 2 GiB of memory and 64 MiB of binary.
        CompilerMissing: there is no g++ on the PATH, or it cannot link statically.
        JailError: the compiler could not be started in a jail.
    """
    with _lock:
        if source in _binaries:
            _binaries.move_to_end(source)
            return _binaries[source]
    compiler = _compiler()
    with jail.slot():
        binary = Binary(_compile(compiler, source, _headers(compiler, jail), jail))
    with _lock:
        _binaries[source] = binary
        while len(_binaries) > _CACHED_BINARIES:
            _binaries.popitem(last=False)
    return binary


@functools.cache
def compiler_version() -> str:
    """The first line of `g++ --version`; verdicts depend on it. Raises CompilerMissing."""
    command = [_compiler(), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.partition("\n")[0]


def _compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        raise CompilerMissing("C++ programs need g++, which is not on the PATH: install it (Debian: apt install g++)")
    return found


def _compile(compiler: str, source: str, headers: Path, jail: Jail) -> bytes:
    with _scratch() as folder:
        (folder / "solution.cpp").write_text(source, errors="surrogatepass")
        command = [compiler, *_FLAGS, "-static", "-s", f"-I{headers}", "solution.cpp", "-o", "solution"]
        _run(command, folder, [str(headers)], _BINARY_MB, jail)
        return (folder / "solution").read_bytes()


def _headers(compiler: str, jail: Jail) -> Path:
    """The folder with the precompiled header, built if this version of the compiler has none yet."""
    key = hashlib.sha256(repr((compiler_version(), os.path.realpath(compiler), _FLAGS)).encode()).hexdigest()[:16]
    caches = private_folder() / "headers"
    caches.mkdir(exist_ok=True)
    finished = caches / key
    with open(caches / f"{key}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other processes wait instead of building it as well
        if not finished.is_dir():
            with _scratch() as folder:
                (folder / "bits").mkdir()
                (folder / "all.h").write_text("#include <bits/stdc++.h>\n")
                command = [compiler, *_FLAGS, "-x", "c++-header", "all.h", "-o", "bits/stdc++.h.gch"]
                try:
                    _run(command, folder, [], _HEADER_MB, jail)
                    _compile(compiler, "int main() {}", folder, jail)
                except CompileError as error:
                    raise CompilerMissing(
                        f"{compiler} cannot build static programs: {str(error).splitlines()[-1]}. Install its static"
                        " libraries (Debian: apt install g++; Red Hat: glibc-static, libstdc++-static)"
                    ) from error
                shutil.move(folder / "bits", _made(caches / f"{key}.new") / "bits")
            (caches / f"{key}.new").rename(finished)
    return finished


def _made(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir()
    return folder


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="compile-", dir=private_folder()) as folder:
        yield Path(folder)


def _run(command: Sequence[str], folder: Path, readable: Sequence[str], file_mb: int, jail: Jail) -> None:
    """Run the compiler in its jail. Raises CompileError or JailError."""
    toolchain = str(Path(os.path.realpath(command[0])).parents[1])
    folders = [toolchain, *readable]
    arguments = [jail.tier, str(folder), str(file_mb), str(len(folders)), *folders, *command]
    # A file in memory instead of a pipe: its size is limited like that of any other, and nobody need read it meanwhile.
    with open(os.memfd_create("stderr"), "w+b") as stderr:
        process = subprocess.Popen(
            [*launcher("compiler"), *arguments],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            status = process.wait(_WALL_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it started
            process.wait()
        stderr.seek(0)
        message = stderr.read(1 << 16).decode(errors="replace")
    if message.startswith(REFUSED):
        raise JailError(message.strip())
    if status != 0:
        for place in (folder, *readable):
            message = message.replace(f"{place}/", "")
        text = "".join(c if c.isprintable() or c == "\n" else " " for c in message).strip()
        raise CompileError(text[:_MAX_MESSAGE_CHARACTERS] or "the compiler exceeded its time or memory")
