"""Training metrics by step."""

import re
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.metrics_file import read

# Stage, and a pattern for keys in its metrics.jsonl.
REWARD = ("rl", "critic/score/mean")
ACCURACY = ("rl", "val-core/.*/acc/mean@1")  # on the primary data set if rl.test_every is set; a key per data source
_PARTS = 5


def curves(runs: Sequence[TrainedRun], stage: str, pattern: str) -> list[dict[int, float]]:
    """For each run with keys that match `pattern` in the log of `stage`: step -> mean value over these keys."""
    logs = [read(run.homes[stage] / stage / "metrics.jsonl") for run in runs if stage in run.homes]
    found = [{int(line["step"]): _matching(line, pattern) for line in log} for log in logs]
    filled = [{step: fmean(values) for step, values in curve.items() if values} for curve in found]
    return [curve for curve in filled if curve]


def _matching(line: dict[str, Any], pattern: str) -> list[float]:
    return [value for key, value in line.items() if re.fullmatch(pattern, key)]


def accuracy_by_step(runs: Sequence[TrainedRun]) -> dict[str, float]:
    """RL step -> accuracy, mean over the runs; empty if there were no tests during RL."""
    found = curves(runs, *ACCURACY)
    steps = sorted(set.intersection(*map(set, found))) if found else []
    return {str(step): fmean(curve[step] for curve in found) for step in steps}


def reward_by_part(runs: Sequence[TrainedRun]) -> dict[str, float]:
    """RL steps in five parts, such as `1-3` -> reward, mean over the part's steps and the runs. Empty without RL."""
    found = curves(runs, *REWARD)
    steps = sorted(set.intersection(*map(set, found))) if found else []
    parts = [part for part in np.array_split(steps, _PARTS) if len(part)]
    return {_label(part): float(np.mean([[curve[step] for step in part] for curve in found])) for part in parts}


def _label(steps: np.ndarray) -> str:
    return f"{steps[0]}-{steps[-1]}" if len(steps) > 1 else f"{steps[0]}"
