"""The results of the check on a card: one file per card and user, which `plan` reads. Imports no torch."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vcore_verl.runs.hashing import replacement
from vcore_verl.sft.gpu_check.sizes import Sizes

DERIVATIVES = ("jvp", "central", "forward")
SHARES = (1, 8)  # |B| / |B'| of the measured probes


def label(derivative: str, share: int) -> str:
    """Name of a kind of probe."""
    return f"{derivative}, |B'| = |B|" + (f"/{share}" if share > 1 else "")


@dataclass(frozen=True)
class Check:
    """A measured value and its limit: a maximum, or a minimum if `at_least`."""

    part: str
    name: str
    found: float
    limit: float
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """False for NaN."""
        return self.found >= self.limit if self.at_least else self.found <= self.limit


@dataclass(frozen=True)
class Step:
    """Time and memory of a step on a batch of `tokens` tokens, with the probe `probe` or without one.

    `seconds` is None if the step does not fit in the card's memory; `peak_bytes` is None then and on a CPU.
    """

    tokens: int
    probe: str | None
    seconds: float | None
    peak_bytes: int | None


def folder() -> Path:
    """The folder of the result files, one per card."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "vcore-verl" / "gpu_check"


def write(card: str, versions: dict[str, str], checks: Sequence[Check], steps: Sequence[Step], sizes: Sizes) -> Path:
    """Write the file of `card`, its name in CUDA, replacing that of an earlier check. Returns its path."""
    path = folder() / f"{'_'.join(_words(card))}.json"
    found = {
        "card": card,
        "versions": versions,
        "recipe": sizes.recipe,
        "model": sizes.cost_model,
        "sequences": sizes.sequences,
        "checks": [_finite(asdict(check)) | {"passed": check.passed} for check in checks],
        "steps": [asdict(step) for step in steps],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacement(path) as partial:
        partial.write_text(json.dumps(found, indent=1) + "\n")
    return path


def read(name: str) -> dict[str, Any] | None:
    """Contents of the file for the card that `plan` calls `name`; None if there is none.

    "H100-80GB" matches "NVIDIA H100 80GB HBM3": every part of the name occurs in CUDA's.
    """
    for path in sorted(folder().glob("*.json")):
        found: dict[str, Any] = json.loads(path.read_text())
        if set(_words(name)) <= set(_words(found["card"])):
            return found
    return None


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN, which JSON does not have, with None."""
    return {name: None if value != value else value for name, value in values.items()}


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9.]+", name)
