"""What an arm cost, from what its runs recorded about themselves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.layout import MANIFEST
from vcore_verl.runs.manifest import Manifest


@dataclass(frozen=True)
class Provenance:
    """Of all runs of an arm: wall-clock seconds of SFT and RL and device hours (means over seeds), and ranks.

    Device hours are GPU hours, or hours of CPU processes. A run made elsewhere has no manifest: all of it is 0.
    """

    sft_seconds: float
    rl_seconds: float
    device_hours: float
    ranks: int
    device: str
    git_commits: tuple[str, ...]
    packages: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return vars(self)


def provenance(runs: list[TrainedRun]) -> Provenance:
    """Read the records of every run."""
    trainings = [training_records(run) for run in runs]
    found = [record for records in trainings for record in records.values()]
    last = next(iter(reversed(trainings[0].values())), {})
    return Provenance(
        sft_seconds=_mean_seconds(trainings, "sft"),
        rl_seconds=_mean_seconds(trainings, "rl"),
        device_hours=sum(map(_device_hours, found)) / len(runs),
        ranks=_ranks(last),
        device=last.get("depends", {}).get("hardware.device", "unknown"),
        git_commits=tuple(sorted({record["git_commit"] for record in found if record.get("git_commit")})),
        packages=tuple(sorted({package for record in found for package in _packages(record)})),
    )


def total_device_hours(runs: Iterable[TrainedRun]) -> float:
    """Of all trainings, SFT that several RL runs start from counted once."""
    found = {(run.homes[stage], stage): record for run in runs for stage, record in training_records(run).items()}
    return sum(map(_device_hours, found.values()))


def training_records(run: TrainedRun) -> dict[str, dict[str, Any]]:
    """ "sft" and "rl" -> what its manifest says of it, as far as there is one."""
    manifests = {stage: Manifest(home / MANIFEST).stages for stage, home in run.homes.items()}
    return {stage: records[stage] for stage, records in manifests.items() if stage in records}


def _device_hours(record: dict[str, Any]) -> float:
    return record.get("seconds", 0.0) * _ranks(record) / 3600


def _ranks(record: dict[str, Any]) -> int:
    depends = record.get("depends", {})
    return depends.get("hardware.gpus", 1) * depends.get("hardware.nodes", 1)


def _packages(record: dict[str, Any]) -> Iterator[str]:
    """`verl 0.9.1`, of what the training ran on."""
    for name, value in record.get("depends", {}).items():
        if name.startswith("package "):
            yield f"{name.removeprefix('package ')} {value}"


def _mean_seconds(trainings: list[dict[str, dict[str, Any]]], stage: str) -> float:
    return sum(records.get(stage, {}).get("seconds", 0.0) for records in trainings) / len(trainings)
