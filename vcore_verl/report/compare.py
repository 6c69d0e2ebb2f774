"""The numbers of a report, all computed here and nowhere else."""

from collections.abc import Iterable, Sequence

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
from vcore_verl.report.provenance import provenance, rl_steps, setup, total_device_hours
from vcore_verl.report.reproduce import commands, trained_differently
from vcore_verl.report.scores import DatasetScores, Evaluation, contamination
from vcore_verl.report.transitions import transitions


def compare(collection: Collection) -> Comparison:
    """All numbers of the collected evaluations."""
    reference = collection.base.results
    names = list(reference["datasets"])
    base = {name: _numbers([collection.base], name) for name in names}
    arms = [_arm(runs, base, names) for runs in collection.arms.values()]
    for name in names:
        _adjust(arm.datasets[name].sft_delta for arm in arms)
        _adjust(arm.datasets[name].delta for arm in arms)
    algorithms = list(dict.fromkeys(arm.rl for arm in arms))
    return Comparison(
        recipe=collection.name,
        conditions={key: reference[key] for key in ("sampling", "dtype", "device", "grader_version", "versions")}
        | {"datasets": {name: reference["datasets"][name]["num_prompts"] for name in names}},
        setup=setup(collection.runs),
        rl_steps=rl_steps(collection.runs),
        base=base,
        arms=arms,
        pairwise=[pair for name in names for rl in algorithms for pair in _pairs(arms, name, rl)],
        transitions=transitions(collection),
        excluded=collection.excluded,
        trained_differently=trained_differently(collection.runs),
        contamination=contamination(item for run in collection.runs for item in (run.pre, run.post) if item),
        device_hours=total_device_hours(collection.runs),
        commands=commands(collection.name, collection.runs),
    )


def _arm(runs: list[TrainedRun], base: dict[str, StageNumbers], names: list[str]) -> Arm:
    datasets = {name: _arm_on_dataset(runs, base[name], name) for name in names}
    return Arm(runs[0].init, runs[0].rl, tuple(run.seed for run in runs), datasets, provenance(runs))


def _arm_on_dataset(runs: list[TrainedRun], base: StageNumbers, name: str) -> ArmOnDataset:
    pre = _numbers([run.pre for run in runs], name)
    by_sft = _change(base, pre) if runs[0].init != "none" else None
    after = [run.post for run in runs if run.post]
    post = _numbers(after, name) if after else None
    return ArmOnDataset(base, pre, post, by_sft, _change(pre, post) if post else None)


def _adjust(family: Iterable[Difference | None]) -> None:
    """Add the p values with Holm's adjustment over the differences that there are."""
    differences = [item for item in family if item]
    for item, p in zip(differences, holm([item.over_prompts.p or 0.0 for item in differences]), strict=True):
        item.p_holm = p
    over_seeds = [(item, item.over_seeds.p or 0.0) for item in differences if item.over_seeds]
    for (item, _), p in zip(over_seeds, holm([p for _, p in over_seeds]), strict=True):
        item.over_seeds_p_holm = p


def _numbers(evaluations: Sequence[Evaluation], name: str) -> StageNumbers:
    scores = [evaluation.datasets[name] for evaluation in evaluations]
    mean_P = np.mean([item.score_PS.mean(axis=1) for item in scores], axis=0)
    greedy = [item.greedy_P for item in scores if item.greedy_P is not None]
    return StageNumbers(
        mean_P=mean_P,
        accuracy=mean_interval(mean_P),
        greedy_P=np.mean(greedy, axis=0) if greedy else None,
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


def _change(before: StageNumbers, after: StageNumbers) -> Change:
    changes = np.subtract(after.by_seed, before.by_seed)  # by run; of SFT against the one base model
    by_seed = tuple(map(float, changes))
    return Change(
        over_prompts=paired_difference(before.mean_P, after.mean_P),
        over_seeds=seed_interval(by_seed),
        greedy=_greedy_difference(before, after),
        num_runs=len(by_seed),
        by_seed=by_seed,
        minimum_detectable=minimum_detectable_effect(before.mean_P, after.mean_P),
    )


def _greedy_difference(before: StageNumbers, after: StageNumbers) -> Estimate | None:
    if before.greedy_P is None or after.greedy_P is None:
        return None
    return paired_difference(before.greedy_P, after.greedy_P)


def _pairs(arms: list[Arm], name: str, rl: str) -> list[Pair]:
    """Every other arm of this RL against the first one, which is `Collection.against` where that has been run."""
    (reference, expected), *others = [(arm.init, arm.datasets[name].final) for arm in arms if arm.rl == rl]
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
    _adjust(pairs)
    return pairs
