"""The numbers of a report, all computed here and nowhere else.

Shape suffixes: P prompts, S samples of one prompt. With several seeds a prompt's value is its mean over the seeds:
intervals then speak of these checkpoints on new prompts, and the seeds' spread is given apart.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcore_verl.evaluation.statistics import (
    Estimate,
    SeedSpread,
    bootstrap_mean,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_difference,
    pass_at_k,
    powers_of_two,
    seed_difference,
    seed_spread,
)
from vcore_verl.report.collect import Collection, Excluded, TrainedRun
from vcore_verl.report.provenance import Provenance, provenance
from vcore_verl.report.scores import DatasetScores, Evaluation
from vcore_verl.report.transitions import Transition, transitions

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class StageFigures:
    """A checkpoint, or one of each seed, on one data set: `mean_P` by prompt, `by_seed` by seed."""

    mean_P: NDArray[np.float64]
    accuracy: Estimate
    greedy_P: NDArray[np.float64] | None
    pass_at_k: dict[int, Estimate]
    mean_tokens: float
    truncated: float
    by_seed: tuple[float, ...]

    @property
    def greedy(self) -> Estimate | None:
        return None if self.greedy_P is None else mean_interval(self.greedy_P)

    def to_json(self) -> dict[str, Any]:
        return self.accuracy.to_json() | {
            "greedy": self.greedy.to_json() if self.greedy else None,
            "pass_at_k": {str(k): figure.to_json() for k, figure in self.pass_at_k.items()},
            "mean_tokens": self.mean_tokens,
            "truncated_frac": self.truncated,
        }


@dataclass(frozen=True)
class Change:
    """From one stage to the next, paired by prompt; `greedy`: of greedy answers; `by_seed`: mean of each seed."""

    difference: Estimate
    greedy: Estimate | None
    minimum_detectable: float
    by_seed: tuple[float, ...]

    @property
    def spread(self) -> SeedSpread | None:
        return seed_spread(self.by_seed)

    def to_json(self) -> dict[str, Any]:
        return self.difference.to_json() | {
            "greedy": self.greedy.to_json() if self.greedy else None,
            "minimum_detectable_effect": self.minimum_detectable,
            "by_seed": list(self.by_seed),
            "seed_standard_deviation": self.spread.standard_deviation if self.spread else None,
        }


@dataclass(frozen=True)
class ArmOnDataset:
    """One arm on one data set. `sft` is pre - base, `rl` is post - pre; what a stage did not happen for is None."""

    base: StageFigures | None
    pre: StageFigures | None
    post: StageFigures | None
    sft: Change | None
    rl: Change | None

    @property
    def final(self) -> StageFigures | None:
        return self.post or self.pre

    def to_json(self) -> dict[str, Any]:
        parts = {"base": self.base, "pre": self.pre, "post": self.post, "sft_delta": self.sft, "delta": self.rl}
        return {name: part.to_json() if part else None for name, part in parts.items()}


@dataclass(frozen=True)
class Arm:
    """One initialiser under one RL algorithm, over all its seeds."""

    init: str
    rl: str
    seeds: tuple[int, ...]
    datasets: dict[str, ArmOnDataset]
    provenance: Provenance

    @property
    def name(self) -> str:
        return f"{self.init}-{self.rl}"


@dataclass(frozen=True)
class Pair:
    """Final accuracy of `init` minus that of `reference` under the same RL, paired by prompt.

    `p_holm` is adjusted over all pairs of the data set and RL algorithm. `over_seeds` is the same difference with an
    interval over training seeds (Welch), where both have several.
    """

    dataset: str
    rl: str
    init: str
    reference: str
    difference: Estimate
    p_holm: float
    over_seeds: Estimate | None

    def to_json(self) -> dict[str, Any]:
        names = {"dataset": self.dataset, "rl": self.rl, "init": self.init, "reference": self.reference}
        over_seeds = self.over_seeds.to_json() if self.over_seeds else None
        return names | self.difference.to_json() | {"p_holm": self.p_holm, "over_seeds": over_seeds}


@dataclass(frozen=True)
class Comparison:
    """All numbers of one report."""

    name: str
    base: dict[str, StageFigures]
    arms: list[Arm]
    pairs: list[Pair]
    excluded: list[Excluded]
    transitions: list[Transition]
    conditions: dict[str, Any]

    @property
    def datasets(self) -> list[str]:
        return list(self.conditions["datasets"])

    @property
    def one_seed(self) -> bool:
        return all(len(arm.seeds) == 1 for arm in self.arms)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "recipe": self.name,
            "conditions": self.conditions,
            "base": {name: figures.to_json() for name, figures in self.base.items()},
            "arms": [
                {
                    "init": arm.init,
                    "rl": arm.rl,
                    "seeds": list(arm.seeds),
                    "datasets": {name: figures.to_json() for name, figures in arm.datasets.items()},
                    "provenance": arm.provenance.to_json(),
                }
                for arm in self.arms
            ],
            "pairwise": [pair.to_json() for pair in self.pairs],
            "transitions": [item.to_json() for item in self.transitions],
            "excluded": [vars(item) for item in self.excluded],
        }


def compare(collection: Collection) -> Comparison:
    """All figures of the collected evaluations."""
    reference = collection.reference.results
    names = list(reference["datasets"])
    base = {name: _figures([collection.base], name) for name in names} if collection.base else {}
    arms = [_arm(collection.name, runs, base, names) for runs in collection.arms.values()]
    algorithms = list(dict.fromkeys(arm.rl for arm in arms))
    return Comparison(
        name=collection.name,
        base=base,
        arms=arms,
        pairs=[pair for name in names for rl in algorithms for pair in _pairs(arms, name, rl)],
        excluded=collection.excluded,
        transitions=transitions(collection),
        conditions={
            "sampling": reference["sampling"],
            "dtype": reference.get("dtype"),
            "device": reference.get("device"),
            "grader_version": reference["grader_version"],
            "versions": reference.get("versions", {}),
            "datasets": {name: reference["datasets"][name]["num_prompts"] for name in names},
        },
    )


def _arm(recipe: str, runs: list[TrainedRun], base: dict[str, StageFigures], names: list[str]) -> Arm:
    datasets = {name: _arm_on_dataset(runs, base.get(name), name) for name in names}
    return Arm(runs[0].init, runs[0].rl, tuple(run.seed for run in runs), datasets, provenance(recipe, runs))


def _arm_on_dataset(runs: list[TrainedRun], base: StageFigures | None, name: str) -> ArmOnDataset:
    pre_runs = [run.pre for run in runs if run.pre is not None]
    post_runs = [run.post for run in runs if run.post is not None]
    pre = _figures(pre_runs, name) if len(pre_runs) == len(runs) else None
    post = _figures(post_runs, name) if len(post_runs) == len(runs) else None
    trained = runs[0].init != "none"
    sft = _change(base, pre, [_accuracy(run, name) - _mean(base) for run in pre_runs]) if trained else None
    pairs = zip(pre_runs, post_runs, strict=False)
    rl = _change(pre, post, [_accuracy(after, name) - _accuracy(before, name) for before, after in pairs])
    return ArmOnDataset(base, pre, post, sft, rl)


def _figures(evaluations: list[Evaluation], name: str) -> StageFigures:
    scores = [evaluation.datasets[name] for evaluation in evaluations]
    mean_P = np.mean([item.score_PS.mean(axis=1) for item in scores], axis=0)
    greedy = [item.greedy_P for item in scores if item.greedy_P is not None]
    return StageFigures(
        mean_P=mean_P,
        accuracy=mean_interval(mean_P),
        greedy_P=np.mean(greedy, axis=0) if len(greedy) == len(scores) else None,
        pass_at_k=_pass_at_k(scores),
        mean_tokens=float(np.mean([item.num_tokens_PS for item in scores])),
        truncated=float(np.mean([item.truncated_PS for item in scores])),
        by_seed=tuple(float(item.score_PS.mean()) for item in scores),
    )


def _pass_at_k(scores: list[DatasetScores]) -> dict[int, Estimate]:
    num_samples = scores[0].score_PS.shape[1]
    return {
        k: bootstrap_mean(np.mean([pass_at_k(item.score_PS.sum(axis=1), num_samples, k) for item in scores], axis=0))
        for k in powers_of_two(num_samples)
    }


def _change(before: StageFigures | None, after: StageFigures | None, by_seed: list[float]) -> Change | None:
    if before is None or after is None:
        return None
    greedy = None
    if before.greedy_P is not None and after.greedy_P is not None:
        greedy = paired_difference(before.greedy_P, after.greedy_P)
    return Change(
        difference=paired_difference(before.mean_P, after.mean_P),
        greedy=greedy,
        minimum_detectable=minimum_detectable_effect(before.mean_P, after.mean_P),
        by_seed=tuple(by_seed),
    )


def _accuracy(evaluation: Evaluation, name: str) -> float:
    return float(evaluation.datasets[name].score_PS.mean())


def _mean(figures: StageFigures | None) -> float:
    return figures.accuracy.mean if figures else 0.0


def _pairs(arms: list[Arm], name: str, rl: str) -> list[Pair]:
    """Every other arm of this RL against the first one (`sft` where there is one)."""
    finals = [(arm.init, final) for arm in arms if arm.rl == rl and (final := arm.datasets[name].final) is not None]
    if len(finals) < 2:
        return []
    reference, expected = finals[0]
    differences = [paired_difference(expected.mean_P, figures.mean_P) for _, figures in finals[1:]]
    adjusted = holm([difference.p or 0.0 for difference in differences])
    return [
        Pair(name, rl, init, reference, difference, p_holm, seed_difference(expected.by_seed, figures.by_seed))
        for (init, figures), difference, p_holm in zip(finals[1:], differences, adjusted, strict=True)
    ]
