"""The numbers of a report, all computed here and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from vcore_verl.evaluation.statistics import (
    Estimate,
    bootstrap_mean,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_difference,
    pass_at_k,
    powers_of_two,
    seed_difference,
    seed_interval,
)
from vcore_verl.report.collect import Collection, TrainedRun
from vcore_verl.report.numbers import Arm, ArmOnDataset, Change, Comparison, Difference, Pair, StageNumbers
from vcore_verl.report.provenance import provenance, total_device_hours
from vcore_verl.report.reproduce import commands, trained_differently
from vcore_verl.report.scores import DatasetScores, Evaluation, contamination
from vcore_verl.report.setup import rl_steps, setup
from vcore_verl.report.transitions import transitions

D = TypeVar("D", bound=Difference)


def compare(collection: Collection) -> Comparison:
    """All numbers of the collected evaluations."""
    reference = collection.reference.results
    names = list(reference["datasets"])
    base = {name: _numbers([collection.base], name) for name in names} if collection.base else {}
    arms = [_arm(runs, base, names) for runs in collection.arms.values()]
    for name in names:
        _correct(arms, name)
    algorithms = list(dict.fromkeys(arm.rl for arm in arms))
    return Comparison(
        name=collection.name,
        base=base,
        arms=arms,
        pairs=[pair for name in names for rl in algorithms for pair in _pairs(arms, name, rl)],
        excluded=collection.excluded,
        trained_differently=trained_differently(collection.runs),
        contamination=contamination(item for run in collection.runs for item in (run.pre, run.post) if item),
        device_hours=total_device_hours(collection.runs),
        transitions=transitions(collection),
        conditions={
            "sampling": reference["sampling"],
            "dtype": reference.get("dtype"),
            "device": reference.get("device"),
            "grader_version": reference["grader_version"],
            "versions": reference.get("versions", {}),
            "datasets": {name: reference["datasets"][name]["num_prompts"] for name in names},
        },
        setup=setup(collection.runs),
        rl_steps=rl_steps(collection.runs),
        commands=commands(collection.name, collection.runs),
    )


def _arm(runs: list[TrainedRun], base: dict[str, StageNumbers], names: list[str]) -> Arm:
    datasets = {name: _arm_on_dataset(runs, base.get(name), name) for name in names}
    return Arm(runs[0].init, runs[0].rl, tuple(run.seed for run in runs), datasets, provenance(runs))


def _correct(arms: list[Arm], name: str) -> None:
    """Add Holm's adjustment of what SFT and RL changed, over all arms of a data set."""
    for stage in ("sft", "rl"):
        changes = _adjusted([getattr(arm.datasets[name], stage) for arm in arms])
        for arm, change in zip(arms, changes, strict=True):
            arm.datasets[name] = replace(arm.datasets[name], **{stage: change})


def _adjusted(family: Sequence[D | None]) -> list[D | None]:
    """The differences with Holm-adjusted p values; None stays None."""
    over_prompts = _holm([item.over_prompts if item else None for item in family])
    over_seeds = _holm([item.over_seeds if item else None for item in family])
    return [
        replace(item, p_holm=prompts, over_seeds_p_holm=seeds) if item else None
        for item, prompts, seeds in zip(family, over_prompts, over_seeds, strict=True)
    ]


def _holm(estimates: Sequence[Estimate | None]) -> list[float | None]:
    """The estimates' p, adjusted over those that there are."""
    adjusted = iter(holm([estimate.p or 0.0 for estimate in estimates if estimate]))
    return [next(adjusted) if estimate else None for estimate in estimates]


def _arm_on_dataset(runs: list[TrainedRun], base: StageNumbers | None, name: str) -> ArmOnDataset:
    pre_runs = [run.pre for run in runs if run.pre is not None]
    post_runs = [run.post for run in runs if run.post is not None]
    pre = _numbers(pre_runs, name) if len(pre_runs) == len(runs) else None
    post = _numbers(post_runs, name) if len(post_runs) == len(runs) else None
    trained = runs[0].init != "none"
    sft = _change(base, pre, [_accuracy(run, name) - _mean(base) for run in pre_runs]) if trained else None
    pairs = zip(pre_runs, post_runs, strict=False)
    rl = _change(pre, post, [_accuracy(after, name) - _accuracy(before, name) for before, after in pairs])
    return ArmOnDataset(base, pre, post, sft, rl)


def _numbers(evaluations: list[Evaluation], name: str) -> StageNumbers:
    scores = [evaluation.datasets[name] for evaluation in evaluations]
    mean_P = np.mean([item.score_PS.mean(axis=1) for item in scores], axis=0)
    greedy = [item.greedy_P for item in scores if item.greedy_P is not None]
    return StageNumbers(
        mean_P=mean_P,
        accuracy=mean_interval(mean_P),
        greedy_P=np.mean(greedy, axis=0) if len(greedy) == len(scores) else None,
        pass_at_k=_pass_at_k(scores),
        mean_tokens=float(np.mean([item.num_tokens_PS for item in scores])),
        truncated=float(np.mean([item.truncated_PS for item in scores])),
        statuses=_statuses([evaluation.results["datasets"][name]["status_counts"] for evaluation in evaluations]),
        by_seed=tuple(float(item.score_PS.mean()) for item in scores),
        greedy_by_seed=tuple(float(item.mean()) for item in greedy),
    )


def _statuses(counts: list[dict[str, int]]) -> dict[str, float]:
    total = sum(sum(item.values()) for item in counts)
    return {status: sum(item[status] for item in counts) / total for status in counts[0]}


def _pass_at_k(scores: list[DatasetScores]) -> dict[int, Estimate]:
    num_samples = scores[0].score_PS.shape[1]
    return {
        k: bootstrap_mean(np.mean([pass_at_k(item.score_PS.sum(axis=1), num_samples, k) for item in scores], axis=0))
        for k in powers_of_two(num_samples)
    }


def _change(before: StageNumbers | None, after: StageNumbers | None, by_seed: list[float]) -> Change | None:
    if before is None or after is None:
        return None
    return Change(
        over_prompts=paired_difference(before.mean_P, after.mean_P),
        over_seeds=seed_interval(by_seed),
        greedy=_greedy_difference(before, after),
        num_runs=len(by_seed),
        minimum_detectable=minimum_detectable_effect(before.mean_P, after.mean_P),
        by_seed=tuple(by_seed),
    )


def _greedy_difference(before: StageNumbers, after: StageNumbers) -> Estimate | None:
    if before.greedy_P is None or after.greedy_P is None:
        return None
    return paired_difference(before.greedy_P, after.greedy_P)


def _accuracy(evaluation: Evaluation, name: str) -> float:
    return float(evaluation.datasets[name].score_PS.mean())


def _mean(numbers: StageNumbers | None) -> float:
    return numbers.accuracy.mean if numbers else 0.0


def _pairs(arms: list[Arm], name: str, rl: str) -> list[Pair]:
    """Every other arm of this RL against the first one, which is `Collection.against` where that has been run."""
    finals = [(arm.init, final) for arm in arms if arm.rl == rl and (final := arm.datasets[name].final) is not None]
    if len(finals) < 2:
        return []
    (reference, expected), *others = finals
    pairs = [
        Pair(
            dataset=name,
            rl=rl,
            init=init,
            reference=reference,
            over_prompts=paired_difference(expected.mean_P, found.mean_P),
            over_seeds=seed_difference(expected.by_seed, found.by_seed),
            greedy=seed_difference(expected.greedy_by_seed, found.greedy_by_seed)
            or _greedy_difference(expected, found),
            num_runs=min(len(expected.by_seed), len(found.by_seed)),
        )
        for init, found in others
    ]
    return [pair for pair in _adjusted(pairs) if pair is not None]
