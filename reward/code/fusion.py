"""An optional client of a running Sandbox Fusion service (github.com/bytedance/SandboxFusion), in place of the jail.

The service compiles and runs; expected answers never reach it. It has no authentication: its address must be private.
It differs from the jail in what it reports: wall-clock time instead of CPU time, and at most 1 MB of output.
"""

import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from reward.code.cpp import CompileError
from reward.code.inside.prelude import with_prelude
from reward.code.jail import Ending, JailError, Limits, PythonProgram, Run

_ATTEMPTS = 5
_PAUSE_SECONDS = 1.0  # doubled after each attempt
_COMPILE_SECONDS = 30.0
_QUEUE_SECONDS = 60.0  # that a busy service may take beyond the limits
_OUTPUT_BYTES = 2**20  # sandbox/utils/execution.py at 469de08 reads no more
_MESSAGE_CHARS = 200

# SystemExit ends a program normally, whatever its code, as in the jail.
_PRINTING = """\
try:
    exec(compile({source!r}, "solution.py", "exec"), {{"__name__": "__main__"}})
except SystemExit:
    pass
"""
# Standard output is for the one value only; what the program prints goes to standard error.
_CALLING = """\
{values}
def _call():
    lines = [line for line in sys.stdin.read().split("\\n") if line.strip()]
    arguments = [decode(line.encode()) if {typed} else json.loads(line) for line in lines]
    answer, sys.stdout = sys.stdout, sys.stderr
    names = {{"__name__": "solution"}}
    try:
        exec(compile({source!r}, "solution.py", "exec"), names)
        target = getattr(names["Solution"](), {function!r}) if "Solution" in names else names[{function!r}]
        print(encode(target(*arguments), numpy_scalars(), {typed}), file=answer)
    except SystemExit:
        pass
_call()
"""


class CppSource(NamedTuple):
    """A C++ program that the service compiles. It prints, or with `answers` prints nothing but a value as in
    `inside.values`.
    """

    source: str
    answers: bool = False


class _Reply(NamedTuple):
    """What the service says of compiling (None for Python) and running (None if it did not compile)."""

    compiled: dict[str, Any] | None
    ran: dict[str, Any] | None


class _Unavailable(Exception):
    """The service did not run the program: worth another attempt."""


class Fusion:
    """Runs programs through the service at `url`. Safe to call from many threads.

    Raises:
        ValueError: `url` is no address of an HTTP service.
    """

    def __init__(self, url: str, pause_seconds: float = _PAUSE_SECONDS) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"{url!r} is not the address of a Sandbox Fusion service, such as http://127.0.0.1:8080")
        self._address = f"{url.rstrip('/')}/run_code"
        self._pause_seconds = pause_seconds

    def run(self, program: PythonProgram | CppSource, stdin: bytes, limits: Limits) -> Run:
        """As `Jail.run`, and a C++ program is compiled for each run.

        Raises:
            CompileError: the C++ program does not compile.
            JailError: the service did not run it in five attempts, or refuses such requests.
        """
        body = {
            "code": program.source if isinstance(program, CppSource) else _script(program),
            "language": "cpp" if isinstance(program, CppSource) else "python",
            "stdin": stdin.decode(),
            "compile_timeout": _COMPILE_SECONDS,
            "run_timeout": limits.cpu_seconds,
            "memory_limit_MB": limits.memory_mb,
        }
        reply, retries, waited = self._ask(json.dumps(body).encode(), _COMPILE_SECONDS + limits.cpu_seconds)
        if reply.ran is None:
            raise CompileError(_last_line((reply.compiled or {}).get("stderr")) or "compiling took too long")
        answers = program.answers if isinstance(program, CppSource) else program.function is not None
        return _read(reply.ran, answers, limits, waited, retries)

    def _ask(self, body: bytes, seconds: float) -> tuple[_Reply, int, float]:
        """The reply to one program, the number of attempts before it, and the seconds spent on them."""
        begun = time.monotonic()
        reason = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(self._pause_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
            asked = time.monotonic()
            try:
                return self._post(body, seconds + _QUEUE_SECONDS), attempt, asked - begun
            except _Unavailable as error:
                reason = str(error)
        raise JailError(f"Sandbox Fusion at {self._address} ran nothing in {_ATTEMPTS} attempts: {reason}")

    def _post(self, body: bytes, seconds: float) -> _Reply:
        request = urllib.request.Request(self._address, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                reply = json.loads(response.read())
        except urllib.error.HTTPError as error:
            if error.code >= 500 or error.code in (408, 429):
                raise _Unavailable(f"HTTP {error.code} {error.reason}") from None
            raise JailError(f"{self._address} refuses the request (HTTP {error.code} {error.reason})") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Unavailable(f"{type(error).__name__}: {error}") from None
        return _parsed(reply)


def _parsed(reply: Any) -> _Reply:
    if not isinstance(reply, dict) or reply.get("status") not in ("Success", "Failed"):
        message = reply.get("message") if isinstance(reply, dict) else reply
        raise _Unavailable(f"the service failed: {str(message)[:_MESSAGE_CHARS]}")
    compiled, ran = reply.get("compile_result"), reply.get("run_result")
    for result in (compiled, ran):
        known = isinstance(result, dict) and result.get("status") in ("Finished", "TimeLimitExceeded")
        if result is not None and not known:
            raise _Unavailable(f"the service failed: {str(result)[:_MESSAGE_CHARS]}")
    if ran is None and (compiled is None or compiled.get("return_code") == 0):
        raise _Unavailable("the service replied without a result")
    return _Reply(compiled, ran)


def _script(program: PythonProgram) -> str:
    source = with_prelude(program.source) if program.prelude else program.source
    if program.function is None:
        return _PRINTING.format(source=source)
    values = (Path(__file__).parent / "inside/values.py").read_text()
    return _CALLING.format(values=values, source=source, function=program.function, typed=program.typed)


def _read(result: dict[str, Any], function: bool, limits: Limits, waited: float, retries: int) -> Run:
    stdout = (result.get("stdout") or "").encode()
    message = _last_line(result.get("stderr"))
    seconds = float(result.get("execution_time") or 0.0)
    ending: Ending = "finished"
    if result["status"] == "TimeLimitExceeded":
        ending = "wall"
    elif len(stdout) >= min(_OUTPUT_BYTES, limits.output_bytes):
        ending = "output"
    elif result.get("return_code") != 0:
        ending = "memory" if "MemoryError" in message or "std::bad_alloc" in message else "failed"
    value = stdout.strip() if function and stdout.strip() else None
    return Run(
        ending=ending,
        stdout=b"" if function else stdout,
        value=value,
        message=message,
        cpu_seconds=seconds,
        wall_seconds=seconds,
        waited_seconds=waited,
        retries=retries,
    )


def _last_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return "".join(letter if letter.isprintable() else " " for letter in lines[-1])[:_MESSAGE_CHARS] if lines else ""
