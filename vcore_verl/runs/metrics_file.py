"""`metrics.jsonl` and progress files: one flat JSON object per step, `{"step", "total", ...}`. Imports no torch."""

import json
import math
from numbers import Real
from pathlib import Path
from typing import Any

from vcore_verl.runs.hashing import write_whole


class MetricsFile:
    """Writes a stage's metrics or progress; after a crash, a repeated step replaces its old line.

    Has the interface of a verl tracking backend (verl/utils/tracking.py): `log(data, step)`.
    """

    def __init__(self, path: Path, total: int, resumed_from: int = 0):
        """Keep the lines of an earlier attempt up to step `resumed_from`, its last checkpoint, and drop the rest."""
        self.path = path
        self.total = total
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read(path) if line["step"] <= resumed_from]
        write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))

    def log(self, data: dict[str, Any], step: int) -> None:
        """Append one step, without values that are not finite numbers, which JSON cannot represent."""
        scalars = {key: float(value) for key, value in data.items() if isinstance(value, Real) and math.isfinite(value)}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "total": self.total} | scalars) + "\n")


class GrowingFile:
    """Reads the JSON lines that another process appends to a file; with `skip_existing`, only those from now on."""

    def __init__(self, path: Path, skip_existing: bool = False) -> None:
        self.path = path
        self.inode, size = self._state()
        self.offset = size if skip_existing else 0

    def _state(self) -> tuple[int, int]:
        if not self.path.exists():
            return 0, 0
        state = self.path.stat()
        return state.st_ino, state.st_size

    def new_lines(self) -> list[dict[str, Any]]:
        """Complete lines appended since the last call; a half-written line of a killed process is ignored.

        If a resumed process has replaced or truncated the file, the content that it kept is not new.
        """
        inode, size = self._state()
        if inode != self.inode or size < self.offset:
            self.inode, self.offset = inode, size if self.inode else 0
        if size == self.offset:
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            complete, newline, _ = file.read().rpartition(b"\n")
        self.offset += len(complete) + len(newline)
        return [json.loads(line) for line in complete.splitlines() if line.startswith(b"{")]


def read(path: Path) -> list[dict[str, Any]]:
    """All complete lines of a file; none if it does not exist."""
    return GrowingFile(path).new_lines()


def last_step(path: Path) -> int:
    """The last step in `path`, 0 if there is none."""
    return max((int(line["step"]) for line in read(path)), default=0)
