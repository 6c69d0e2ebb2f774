"""Child processes: what a stage runs, and how it is watched and ended. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A stage's child process.

    The child appends one JSON object per line to `progress`, `{"step": int, "total": int, ...scalars}`: that file is
    the progress bar and the stall watchdog. `total` counts `unit`s ("step", "prompt").
    """

    argv: list[str]
    env: dict[str, str]
    progress: Path
    total: int
    unit: str
