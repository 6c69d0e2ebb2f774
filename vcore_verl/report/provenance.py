"""What an arm cost, from what its runs recorded about themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.manifest import Manifest


@dataclass(frozen=True)
class Provenance:
    """Of all runs of an arm: wall-clock seconds of SFT and RL (means over seeds), and ranks.

    SFT that a run took over from another one counts in `sft_seconds`, and in `taken_seconds` too. A run made elsewhere
    has no manifest: its seconds are 0.
    """

    sft_seconds: float
    rl_seconds: float
    taken_seconds: float
    ranks: int
    device: str
    git_commits: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def device_hours(self) -> float:
        """Of one run: GPU hours, or hours of CPU processes."""
        return (self.sft_seconds + self.rl_seconds) * self.ranks / 3600

    @property
    def taken_hours(self) -> float:
        """Of `device_hours`, those that another run's hours hold already."""
        return self.taken_seconds * self.ranks / 3600

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"device_hours": self.device_hours}


def provenance(runs: list[TrainedRun]) -> Provenance:
    """Read manifest.json and recipe.yaml of every run."""
    manifests = [Manifest(run.folder / "manifest.json").stages for run in runs]
    hardware = _hardware(runs[0])
    commits = {stage["git_commit"] for stages in manifests for stage in stages.values() if stage.get("git_commit")}
    return Provenance(
        sft_seconds=_mean_seconds(manifests, "sft"),
        rl_seconds=_mean_seconds(manifests, "rl"),
        taken_seconds=_mean_seconds(manifests, "sft", only_taken=True),
        ranks=hardware.get("gpus", 1) * hardware.get("nodes", 1),
        device=hardware.get("device", "unknown"),
        git_commits=tuple(sorted(commits)),
        packages=tuple(sorted({package for stages in manifests for package in _packages(stages)})),
    )


def _packages(stages: dict[str, dict[str, Any]]) -> Iterator[str]:
    """`verl 0.9.1`, of what SFT and RL ran on."""
    for stage in ("sft", "rl"):
        for name, value in stages.get(stage, {}).get("depends", {}).items():
            if name.startswith("package "):
                yield f"{name.removeprefix('package ')} {value}"


def _mean_seconds(manifests: list[dict[str, dict[str, Any]]], stage: str, only_taken: bool = False) -> float:
    records = [stages.get(stage, {}) for stages in manifests]
    counted = [record for record in records if "taken_from" in record or not only_taken]
    return sum(record.get("seconds", 0.0) for record in counted) / len(manifests)


def _hardware(run: TrainedRun) -> dict[str, Any]:
    path = run.folder / "recipe.yaml"
    return dict(OmegaConf.load(path).hardware) if path.is_file() else {}
