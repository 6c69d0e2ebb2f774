"""What training logged, step by step."""

import re
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.metrics_file import read

# Stage, and a pattern of keys in its metrics.jsonl.
REWARD = ("rl", "critic/score/mean")
ACCURACY = ("rl", "val-core/.*/acc/mean@1")  # on the primary data set, where rl.test_every is set; by data source
_PARTS = 5


def curves(runs: Sequence[TrainedRun], stage: str, pattern: str) -> list[dict[int, float]]:
    """Step -> value, the mean over keys that match `pattern`, of every run that logged such in `stage`."""
    logs = [read(run.homes[stage] / stage / "metrics.jsonl") for run in runs if stage in run.homes]
    found = [{int(line["step"]): _matching(line, pattern) for line in log} for log in logs]
    filled = [{step: fmean(values) for step, values in curve.items() if values} for curve in found]
    return [curve for curve in filled if curve]


def _matching(line: dict[str, Any], pattern: str) -> list[float]:
    return [value for key, value in line.items() if re.fullmatch(pattern, key)]


def accuracy_by_step(runs: Sequence[TrainedRun]) -> dict[str, float]:
    """Step of RL -> accuracy then, the mean over the runs; empty where nothing was tested during RL."""
    found = curves(runs, *ACCURACY)
    steps = sorted(set.intersection(*map(set, found))) if found else []
    return {str(step): fmean(curve[step] for curve in found) for step in steps}


def reward_by_part(runs: Sequence[TrainedRun]) -> dict[str, float]:
    """Steps of RL, such as `1-3`, -> mean reward in them and over the runs; in five parts. Empty without RL."""
    found = curves(runs, *REWARD)
    steps = sorted(set.intersection(*map(set, found))) if found else []
    parts = [part for part in np.array_split(steps, _PARTS) if len(part)]
    return {_label(part): float(np.mean([[curve[step] for step in part] for curve in found])) for part in parts}


def _label(steps: np.ndarray) -> str:
    return f"{steps[0]}-{steps[-1]}" if len(steps) > 1 else f"{steps[0]}"
