"""The numbers of a report, all computed here and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace

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
)
from vcore_verl.report.collect import Collection, TrainedRun
from vcore_verl.report.figures import Arm, ArmOnDataset, Change, Comparison, Pair, StageFigures
from vcore_verl.report.provenance import provenance, total_device_hours
from vcore_verl.report.reproduce import commands, trained_differently
from vcore_verl.report.scores import DatasetScores, Evaluation, contamination
from vcore_verl.report.transitions import transitions


def compare(collection: Collection) -> Comparison:
    """All figures of the collected evaluations."""
    reference = collection.reference.results
    names = list(reference["datasets"])
    base = {name: _figures([collection.base], name) for name in names} if collection.base else {}
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
        commands=commands(collection.name, collection.runs),
    )


def _arm(runs: list[TrainedRun], base: dict[str, StageFigures], names: list[str]) -> Arm:
    datasets = {name: _arm_on_dataset(runs, base.get(name), name) for name in names}
    return Arm(runs[0].init, runs[0].rl, tuple(run.seed for run in runs), datasets, provenance(runs))


def _correct(arms: list[Arm], name: str) -> None:
    """Add Holm's adjustment of what SFT and RL changed, over all arms of a data set."""
    for arm, sft, rl in zip(
        arms,
        _corrected([arm.datasets[name].sft for arm in arms]),
        _corrected([arm.datasets[name].rl for arm in arms]),
        strict=True,
    ):
        arm.datasets[name] = replace(arm.datasets[name], sft=sft, rl=rl)


def _corrected(changes: Sequence[Change | None]) -> list[Change | None]:
    over_prompts = _holm([change.difference if change else None for change in changes])
    over_seeds = _holm([change.over_seeds if change else None for change in changes])
    return [
        replace(change, p_holm=prompts, over_seeds_p_holm=seeds) if change else None
        for change, prompts, seeds in zip(changes, over_prompts, over_seeds, strict=True)
    ]


def _holm(estimates: Sequence[Estimate | None]) -> list[float | None]:
    """The estimates' p, adjusted over those that there are."""
    adjusted = iter(holm([estimate.p or 0.0 for estimate in estimates if estimate]))
    return [next(adjusted) if estimate else None for estimate in estimates]


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


def _change(before: StageFigures | None, after: StageFigures | None, by_seed: list[float]) -> Change | None:
    if before is None or after is None:
        return None
    return Change(
        difference=paired_difference(before.mean_P, after.mean_P),
        greedy=_greedy_difference(before, after),
        minimum_detectable=minimum_detectable_effect(before.mean_P, after.mean_P),
        by_seed=tuple(by_seed),
    )


def _greedy_difference(before: StageFigures, after: StageFigures) -> Estimate | None:
    if before.greedy_P is None or after.greedy_P is None:
        return None
    return paired_difference(before.greedy_P, after.greedy_P)


def _accuracy(evaluation: Evaluation, name: str) -> float:
    return float(evaluation.datasets[name].score_PS.mean())


def _mean(figures: StageFigures | None) -> float:
    return figures.accuracy.mean if figures else 0.0


def _pairs(arms: list[Arm], name: str, rl: str) -> list[Pair]:
    """Every other arm of this RL against the first one, which is `Collection.against` where that has been run."""
    finals = [(arm.init, final) for arm in arms if arm.rl == rl and (final := arm.datasets[name].final) is not None]
    if len(finals) < 2:
        return []
    reference, expected = finals[0]
    differences = [paired_difference(expected.mean_P, figures.mean_P) for _, figures in finals[1:]]
    over_seeds = [seed_difference(expected.by_seed, figures.by_seed) for _, figures in finals[1:]]
    p_holm = holm([difference.p or 0.0 for difference in differences])
    return [
        Pair(
            dataset=name,
            rl=rl,
            init=init,
            reference=reference,
            num_runs=min(len(expected.by_seed), len(figures.by_seed)),
            difference=difference,
            p_holm=p,
            over_seeds=spread,
            over_seeds_p_holm=p_over_seeds,
            greedy=seed_difference(expected.greedy_by_seed, figures.greedy_by_seed)
            or _greedy_difference(expected, figures),
        )
        for (init, figures), difference, p, spread, p_over_seeds in zip(
            finals[1:], differences, p_holm, over_seeds, _holm(over_seeds), strict=True
        )
    ]
