"""`metrics.jsonl` and progress files: one flat JSON object a step, `{"step", "total", ...}`. Imports no torch."""

import json
import math
from numbers import Real
from pathlib import Path
from typing import Any

from vcore_verl.runs.hashing import write_whole


class MetricsFile:
    """Writes a stage's metrics or progress; a step that is trained again after a crash replaces its old line.

    Has the form of a verl tracking backend (verl/utils/tracking.py): `log(data, step)`.
    """

    def __init__(self, path: Path, total: int, resumed_from: int = 0):
        """Keep the lines up to step `resumed_from` of an earlier attempt, drop what came after its last checkpoint."""
        self.path = path
        self.total = total
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read(path) if line["step"] <= resumed_from]
        write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))

    def log(self, data: dict[str, Any], step: int) -> None:
        """Append one step; what is not a finite number is left out, since JSON has no form for it."""
        scalars = {key: float(value) for key, value in data.items() if isinstance(value, Real) and math.isfinite(value)}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "total": self.total} | scalars) + "\n")


class GrowingFile:
    """Reads the lines that another process appends to a file of JSON objects; with `skip_existing` only from now on."""

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
        """Complete lines appended since the last call; a line that a killed process left half-written does not count.

        Of a file that a resumed process has replaced or cut, what it kept is not new.
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
    """All complete lines of a file, none where there is no file."""
    return GrowingFile(path).new_lines()


def last_step(path: Path) -> int:
    """The last step that `path` records, 0 where there is none."""
    return max((int(line["step"]) for line in read(path)), default=0)
