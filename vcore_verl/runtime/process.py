"""Child processes of stages: started, watched and ended. Imports no torch."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vcore_verl.config.composition import ROOT
from vcore_verl.runs.metrics_file import GrowingFile
from vcore_verl.runtime.diagnose import cause

POLL_SECONDS = 0.2
STARTUP_FACTOR = 2  # imports, Ray, model loading and the vLLM server come before the first step


class StageFailed(RuntimeError):
    """A stage's child process failed; the message gives the reason and the log."""


@dataclass(frozen=True)
class Command:
    """A stage's child process.

    The child appends one JSON object per line to `progress`, `{"step": int, "total": int, ...scalars}`; the progress
    bar and the stall watchdog read this file. `total` counts `unit`s ("step", "prompt"). `files` in the same folder are
    written before the child starts.
    """

    argv: list[str]
    env: dict[str, str]
    progress: Path
    total: int
    unit: str
    files: dict[Path, str] = field(default_factory=dict)


def run(
    command: Command,
    log: Path,
    stall_seconds: float,
    on_progress: Callable[[dict[str, Any]], None],
    preparation_seconds: float = 0.0,
) -> None:
    """Run `command` to its end under a guard, with its output in `log`; call `on_progress` with each progress line.

    Raises `StageFailed` if it exits non-zero, or makes no progress for `stall_seconds`. Only new progress lines count
    as progress: Ray keeps logging while verl hangs in a failed weight sync. The first line may take `STARTUP_FACTOR`
    times `stall_seconds`, plus `preparation_seconds`. However this call ends, no process of the command is left behind.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command.progress.parent.mkdir(parents=True, exist_ok=True)
    for path, text in command.files.items():
        path.write_text(text)
    progress = GrowingFile(command.progress, skip_existing=True)
    guarded = [sys.executable, "-m", "vcore_verl.runtime.guard", str(os.getpid()), str(log.with_suffix(".ray"))]
    with log.open("ab") as output:
        guard = subprocess.Popen(
            [*guarded, *command.argv],
            env=environment(command.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the launcher only, which then shuts the stage down
        )
    allowance = STARTUP_FACTOR * stall_seconds + preparation_seconds
    last_progress = time.monotonic()
    last_line: dict[str, Any] = {}
    try:
        while True:
            ended = guard.poll() is not None
            for line in progress.new_lines():
                on_progress(line)
                allowance, last_progress, last_line = stall_seconds, time.monotonic(), line
            if ended:
                break
            if time.monotonic() - last_progress > allowance:
                raise StageFailed(_stalled(command, last_line, allowance, stall_seconds, log))
            time.sleep(POLL_SECONDS)
    finally:
        guard.terminate()
        guard.wait()
    if guard.returncode != 0:
        raise StageFailed(f"{cause(log, guard.returncode)}\nlog: {log}")


def environment(more: dict[str, str]) -> dict[str, str]:
    """This process's environment plus `more`, with this library importable from any working directory."""
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONUNBUFFERED": "1", **more, "PYTHONPATH": python_path}


def _stalled(command: Command, last_line: dict[str, Any], allowance: float, stall_seconds: float, log: Path) -> str:
    reached = f"after {command.unit} {last_line['step']} of {command.total}" if last_line else "before its first step"
    return (
        f"no progress for {allowance / 60:.3g} minutes {reached}; stopped\n"
        f"raise hardware.stall_minutes above {stall_seconds / 60:.3g} if the hardware is just slow\nlog: {log}"
    )
