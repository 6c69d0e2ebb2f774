"""`metrics.jsonl`: one flat JSON object a training step, `{"step", "total", ...}`. Imports no torch."""

import json
import math
from numbers import Real
from pathlib import Path
from typing import Any


class MetricsFile:
    """Writes a run's metrics; a step that is trained again after a crash replaces its old line.

    Has the form of a verl tracking backend (verl/utils/tracking.py): `log(data, step)`.
    """

    def __init__(self, path: Path, total: int, resumed_from: int = 0):
        """Keep the lines up to step `resumed_from` of an earlier attempt, drop what came after its last checkpoint."""
        self.path = path
        self.total = total
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read(path) if line["step"] <= resumed_from]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
        partial.replace(path)

    def log(self, data: dict[str, Any], step: int) -> None:
        """Append one step; what is not a finite number is left out, since JSON has no form for it."""
        scalars = {key: float(value) for key, value in data.items() if _is_finite(value)}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "total": self.total} | scalars) + "\n")


def read(path: Path) -> list[dict[str, float]]:
    """All complete lines; a last line that a killed process left half-written is not one."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def last_step(path: Path) -> int:
    """The last step that `path` records, 0 where there is none."""
    return max((int(line["step"]) for line in read(path)), default=0)


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
