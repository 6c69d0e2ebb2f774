"""Computes all numbers of a report."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vcore_verl.evaluation.responses import GREEDY
from vcore_verl.evaluation.statistics import (
    Estimate,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_difference,
    pass_at_k,
    powers_of_two,
    run_difference,
    run_mean,
)
from vcore_verl.report.collect import REFERENCE, Collection, TrainedRun
from vcore_verl.report.curves import accuracy_by_step, reward_by_part
from vcore_verl.report.measures import Measure, measures, named_differently, primary_measure
from vcore_verl.report.numbers import Accuracy, Arm, ArmOnDataset, Change, Comparison, Difference, Pair, StageNumbers
from vcore_verl.report.provenance import provenance, rl_steps, setup, total_device_hours
from vcore_verl.report.reproduce import commands, trained_differently
from vcore_verl.report.scores import SAMPLED, DatasetScores, Evaluation, contamination, unjudged
from vcore_verl.report.transitions import transitions
from vcore_verl.report.weights import weights

Sides = dict[tuple[str, str], list[Evaluation]]  # (RL algorithm, init) -> an evaluation of each run


def compare(collection: Collection) -> Comparison:
    """All numbers of the collected evaluations. Raises `ReportError` if the primary measure was not evaluated."""
    results = collection.base.results
    names, primary = list(results["datasets"]), primary_measure(collection)
    base = {name: _numbers([collection.base], name) for name in names}
    arms = [_arm(runs, base, names) for runs in collection.arms.values()]
    _adjust_changes(arms, primary)
    sides = {stage: _sides(collection, stage) for stage in ("sft", "rl")}
    return Comparison(
        recipe=collection.name,
        primary=primary,
        conditions={key: results[key] for key in ("sampling", "dtype", "device", "grader_version", "versions")}
        | {"datasets": {name: results["datasets"][name]["num_prompts"] for name in names}},
        setup=setup(collection.runs),
        rl_steps=rl_steps(collection.runs),
        base=base,
        arms=arms,
        pairwise=[
            pair
            for measure in measures(collection)
            for pair in family(measure, measure == primary, _accuracies(sides[measure.stage], measure))
        ],
        transitions=transitions(collection),
        excluded=collection.excluded,
        tuning=collection.tuning,
        trained_differently=named_differently(collection) + trained_differently(collection.runs),
        contamination=contamination(item for run in collection.runs for item in (run.pre, run.post) if item),
        unjudged=unjudged(collection.base),
        device_hours=total_device_hours(collection.runs),
        commands=commands(collection.name, collection.runs),
    )


def _arm(runs: list[TrainedRun], base: dict[str, StageNumbers], names: list[str]) -> Arm:
    datasets = {name: _arm_on_dataset(runs, base[name], name) for name in names}
    return Arm(
        runs[0].init,
        runs[0].rl,
        tuple(run.seed for run in runs),
        datasets,
        provenance(runs),
        reward_by_part(runs),
        accuracy_by_step(runs),
        weights(runs),
    )


def _arm_on_dataset(runs: list[TrainedRun], base: StageNumbers, name: str) -> ArmOnDataset:
    pre = _numbers([run.pre for run in runs], name)
    after = [run.post for run in runs if run.post]
    post = _numbers(after, name) if after else None
    by_sft = _changes(base, pre) if runs[0].init != "none" else {}
    return ArmOnDataset(base, pre, post, by_sft, _changes(pre, post) if post else {})


def _adjust_changes(arms: list[Arm], primary: Measure) -> None:
    """Adjust p values; a family is the changes by one stage in all arms on one data set by one decoding.

    A single arm has no pairs, so its change in the primary measure is the primary difference.
    """
    for name in arms[0].datasets if arms else ():
        for stage in ("sft", "rl"):
            for decoding in (SAMPLED, GREEDY):
                by_arm = (getattr(arm.datasets[name], f"{stage}_changes").get(decoding) for arm in arms)
                changes = [change for change in by_arm if change]
                _adjust(changes)
                for change in changes:
                    change.primary = len(arms) == 1 and primary == Measure(name, stage, decoding)


def _adjust(differences: Sequence[Difference]) -> None:
    """Set the Holm-adjusted p values over the family `differences`."""
    over_prompts = [item for item in differences if item.over_prompts.p is not None]
    for item, p in zip(over_prompts, holm([item.over_prompts.p or 0.0 for item in over_prompts]), strict=True):
        item.p_holm = p
    over_runs = [(item, item.over_runs) for item in differences if item.over_runs]
    for (item, _), p in zip(over_runs, holm([found.p for _, found in over_runs]), strict=True):
        item.over_runs_p_holm = p


def _numbers(evaluations: Sequence[Evaluation], name: str) -> StageNumbers:
    scores = [evaluation.datasets[name] for evaluation in evaluations]
    decodings = [SAMPLED] if scores[0].greedy_P is None else [SAMPLED, GREEDY]
    return StageNumbers(
        accuracy={decoding: _accuracy([item.by_prompt(decoding) for item in scores]) for decoding in decodings},
        others={key: _accuracy([item.others_P[key] for item in scores]) for key in scores[0].others_P},
        pass_at_k=_pass_at_k(scores),
        mean_tokens=float(np.mean([item.num_tokens_PS for item in scores])),
        truncated=float(np.mean([item.truncated_PS for item in scores])),
        statuses=_statuses([evaluation.results["datasets"][name]["status_counts"] for evaluation in evaluations]),
    )


def _accuracy(scores_by_run: Sequence[NDArray[np.float64]]) -> Accuracy:
    """Accuracy from per-prompt scores of each run."""
    by_run = np.array(scores_by_run)
    return Accuracy(by_run.mean(axis=0), tuple(map(float, by_run.mean(axis=1))))


def _statuses(counts: list[dict[str, int]]) -> dict[str, float]:
    total = sum(sum(item.values()) for item in counts)
    return {status: sum(item[status] for item in counts) / total for status in counts[0]}


def _pass_at_k(scores: list[DatasetScores]) -> dict[int, Estimate]:
    num_samples = scores[0].score_PS.shape[1]
    return {
        k: mean_interval(np.mean([pass_at_k(item.score_PS.sum(axis=1), num_samples, k) for item in scores], axis=0))
        for k in powers_of_two(num_samples)
    }


def _changes(before: StageNumbers, after: StageNumbers) -> dict[str, Change]:
    return {decoding: _change(before.accuracy[decoding], accuracy) for decoding, accuracy in after.accuracy.items()}


def _change(before: Accuracy, after: Accuracy) -> Change:
    changes = np.subtract(after.by_run, before.by_run)  # by run; for SFT, against the single base model
    by_run = tuple(map(float, changes))
    return Change(
        over_prompts=paired_difference(before.mean_P, after.mean_P),
        over_runs=run_mean(by_run),
        num_runs=len(by_run),
        primary=False,
        by_run=by_run,
        minimum_detectable=minimum_detectable_effect(before.mean_P, after.mean_P),
    )


def _sides(collection: Collection, stage: str) -> Sides:
    """The evaluations to compare after `stage`: after SFT, every SFT run once, the reference first."""
    if stage == "rl":
        arms = {(rl, init): [run.post for run in runs] for (rl, init), runs in collection.arms.items()}
        return {arm: [item for item in found if item] for arm, found in arms.items() if arm[0] != "none"}
    trained = {run.homes["sft"]: run for run in collection.runs if run.init != "none"}.values()
    inits = sorted(
        {run.init for run in trained}, key=lambda init: (init != collection.against, init != REFERENCE, init)
    )
    return {("none", init): [run.pre for run in trained if run.init == init] for init in inits}


def _accuracies(sides: Sides, measure: Measure) -> dict[tuple[str, str], Accuracy]:
    return {
        arm: _accuracy([item.datasets[measure.dataset].by_prompt(measure.decoding) for item in evaluations])
        for arm, evaluations in sides.items()
    }


def family(measure: Measure, primary: bool, accuracies: dict[tuple[str, str], Accuracy]) -> list[Pair]:
    """Each (RL algorithm, init) against the first init with the same RL, Holm-adjusted over all pairs.

    The first is `Collection.against` if that has been run.
    """
    pairs = []
    for rl in dict.fromkeys(rl for rl, _ in accuracies):
        (reference, expected), *others = [(init, found) for (of, init), found in accuracies.items() if of == rl]
        pairs += [
            Pair(
                measure=measure,
                rl=rl,
                init=init,
                reference=reference,
                over_prompts=paired_difference(expected.mean_P, found.mean_P),
                over_runs=run_difference(expected.by_run, found.by_run),
                num_runs=min(len(expected.by_run), len(found.by_run)),
                primary=primary,
            )
            for init, found in others
        ]
    _adjust(pairs)
    return pairs
