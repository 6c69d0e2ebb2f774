"""How the runs of a report were trained, on what data and at what cost, from their records."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.model_card import training


@dataclass(frozen=True)
class Provenance:
    """The runs of an arm: wall-clock seconds of SFT and RL and device hours (means over seeds), ranks, and versions.

    Device hours are GPU hours, or hours of CPU processes. Runs made elsewhere have no manifest and count as 0.
    """

    sft_seconds: float
    rl_seconds: float
    device_hours: float
    ranks: int
    device: str
    git_commits: tuple[str, ...]
    packages: tuple[str, ...]


def provenance(runs: list[TrainedRun]) -> Provenance:
    """Read the records of every run."""
    found = [record for run in runs for record in run.records.values()]
    last = list(runs[0].records.values())[-1] if runs[0].records else {}
    packages = {
        f"{name.removeprefix('package ')} {version}"
        for record in found
        for name, version in record.get("depends", {}).items()
        if name.startswith("package ")
    }
    return Provenance(
        sft_seconds=_mean_seconds(runs, "sft"),
        rl_seconds=_mean_seconds(runs, "rl"),
        device_hours=sum(map(_device_hours, found)) / len(runs),
        ranks=_ranks(last),
        device=last.get("depends", {}).get("hardware.device", "unknown"),
        git_commits=tuple(sorted({record["git_commit"] for record in found if record.get("git_commit")})),
        packages=tuple(sorted(packages)),
    )


def _mean_seconds(runs: list[TrainedRun], stage: str) -> float:
    return sum(run.records.get(stage, {}).get("seconds", 0.0) for run in runs) / len(runs)


def total_device_hours(runs: Iterable[TrainedRun]) -> float:
    """Device hours of all training; SFT shared by several RL runs is counted once."""
    found = {(run.homes[stage], stage): record for run in runs for stage, record in run.records.items()}
    return sum(map(_device_hours, found.values()))


def _device_hours(record: dict[str, Any]) -> float:
    return record.get("seconds", 0.0) * _ranks(record) / 3600


def _ranks(record: dict[str, Any]) -> int:
    depends = record.get("depends", {})
    return depends.get("hardware.gpus", 1) * depends.get("hardware.nodes", 1)


def setup(runs: Iterable[TrainedRun]) -> dict[str, str]:
    """Name -> value; if runs differ, each value with its arms. Empty if no run has a recipe."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run.recipe:
            for name, value in training(run.recipe, run.folder, "sft" if run.rl == "none" else "rl").items():
                found[name][value].append(run.arm)
    return {name: _joined(values) for name, values in found.items()}


def _joined(values: dict[str, list[str]]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} ({', '.join(dict.fromkeys(arms))})" for value, arms in values.items())


def rl_steps(runs: Iterable[TrainedRun]) -> dict[str, str]:
    """RL algorithm -> `15 steps of grpo`, or only its name if no run has a recipe."""
    steps: dict[str, set[int]] = defaultdict(set)
    for run in runs:
        steps[run.rl] |= {run.recipe.rl.steps} if run.recipe else set()
    return {rl: f"{' or '.join(map(str, sorted(found)))} steps of {rl}" if found else rl for rl, found in steps.items()}
