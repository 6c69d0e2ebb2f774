"""Why a stage failed: the relevant lines of its log. Imports no torch."""

import re
import signal
from pathlib import Path

TAIL_BYTES = 400_000
MAX_LINES = 12
TRACEBACK = "Traceback (most recent call last):"

# Prefixes of a line: "(TaskRunner pid=12) " of Ray and vLLM, "[rank0]:" of torch, vLLM's level and time.
_PREFIX = re.compile(
    r"^(?:\([\w.:]+(?: pid=\d+)?(?:, ip=[\d.]+)?\) ?|\[rank\d+\]: ?|(?:ERROR|CRITICAL) \d\d-\d\d \S+ \S+ )*"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_EXCEPTION = re.compile(
    r"^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Failed|Timeout|Died|Warning)\b.*"
    r"|^(?:[a-z_]\w*\.)+[A-Z]\w*: .*"  # any qualified class name
)
_FRAME = re.compile(r'^File "([^"]+)", line (\d+), in ')
# Exceptions that only report the failure of another process, whose own traceback is in the log as well.
_WRAPPERS = (
    "ChildFailedError",
    "RayTaskError",
    "ActorDiedError",
    "SystemExit",
    "KeyboardInterrupt",
    "CalledProcessError",
)
_CHATTER = re.compile(
    r"^(?:INFO|DEBUG|WARNING|[IW]\d{4}|\d{4}-\d\d-\d\d .*(?:INFO|WARNING))\b|Warning: |^warnings\.warn|^\W*$"
)


def cause(log: Path, code: int) -> str:
    """Why a child failed: its exception with the innermost frame, or the last lines of its log.

    `code` is its exit code, 128 + n for signal n.
    """
    text = _COLOUR.sub("", tail(log, TAIL_BYTES))
    lines = [_PREFIX.sub("", line.rstrip("\r"), count=1) for line in text.splitlines()]
    return "\n".join([_ending(code), *(_last_exception(lines) or _last_words(lines))])


def tail(log: Path, num_bytes: int) -> str:
    """The end of a log."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - num_bytes))
        return file.read().decode(errors="replace")


def _ending(code: int) -> str:
    if code <= 128:
        return f"exit code {code}"
    name = signal.Signals(code - 128).name if code - 128 in set(signal.Signals) else str(code - 128)
    hint = "; usually out of memory" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def _last_exception(lines: list[str]) -> list[str]:
    """The last traceback's exception and innermost frame; a wrapper exception's only if there is no other."""
    found: list[tuple[bool, list[str]]] = []
    frame = ""
    inside = False
    for number, line in enumerate(lines):
        text = line.strip()
        if text.startswith(TRACEBACK):
            inside, frame = True, ""
        elif inside and (match := _FRAME.match(text)):
            frame = f"at {match[1]}:{match[2]}"
        elif inside and line == text and _EXCEPTION.match(text):
            wrapper = text.partition(":")[0].partition("(")[0].endswith(_WRAPPERS)
            found.append((wrapper, [*_message(lines, number), *([frame] if frame else [])]))
            inside = wrapper  # RayTaskError quotes the task's own frames and exception after its first line
    roots = [exception for wrapper, exception in found if not wrapper]
    return (roots or [exception for _, exception in found] or [[]])[-1]


def _message(lines: list[str], start: int) -> list[str]:
    """An exception's message, which may span several lines."""
    message = [lines[start].strip()]
    for line in lines[start + 1 : start + MAX_LINES]:
        if not line.strip() or line.startswith(TRACEBACK) or _CHATTER.search(line):
            break
        message.append(line.rstrip())
    return message


def _last_words(lines: list[str]) -> list[str]:
    return [line for line in lines if not _CHATTER.search(line.strip())][-MAX_LINES:]
