"""Numbers as text: percentages, intervals, and a summary that claims no more than they support."""

from collections.abc import Sequence

from vcore_verl.evaluation.statistics import Estimate
from vcore_verl.report.numbers import MIN_RUNS, Arm, Change, Comparison, Difference, Pair, StageNumbers

RULE = (
    f"A difference is called significant only with at least {MIN_RUNS} training runs on each side and p < 0.05 after"
    " Holm's correction, over runs as well as over prompts"
)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def accuracy(numbers: StageNumbers | None) -> str:
    """`41.2`, in percent; nothing for a stage that did not happen."""
    return f"{100 * numbers.accuracy.mean:.1f}" if numbers else ""


def interval(estimate: Estimate) -> str:
    """`[41.0, 49.6]`, in percent."""
    return f"[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def signed_interval(estimate: Estimate) -> str:
    return f"[{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def points(estimate: Estimate) -> str:
    """`+12.3`, in percentage points."""
    return f"{100 * estimate.mean:+.1f}"


def p_value(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def answer(comparison: Comparison) -> str:
    """What the comparison says, and whether that is a statement about methods or about these checkpoints."""
    if not comparison.arms:
        found = "; ".join(f"{percent(base.accuracy.mean)} on {name}" for name, base in comparison.base.items())
        return f"The original model answers {found} correctly. No training run has been evaluated yet."
    if comparison.pairs:
        finding = "; ".join(_who_is_ahead(comparison, name) for name in comparison.datasets)
    else:
        findings = [_changes(comparison, arm, name) for name in comparison.datasets for arm in comparison.arms]
        finding = "; ".join(findings)
    return f"{finding[0].upper()}{finding[1:]}. {_scope(comparison)}"


def _changes(comparison: Comparison, arm: Arm, dataset: str) -> str:
    numbers = arm.datasets[dataset]
    clauses = []
    if numbers.sft and numbers.base and numbers.pre:
        clauses.append(_clause(f"SFT ({arm.init})", numbers.sft, numbers.base, numbers.pre))
    if numbers.rl and numbers.pre and numbers.post:
        clauses.append(_clause(f"RL ({comparison.rl_steps[arm.rl]})", numbers.rl, numbers.pre, numbers.post))
    if not clauses and numbers.final:
        clauses.append(f"accuracy is {percent(numbers.final.accuracy.mean)}")
    return f"on {dataset}, " + " and ".join(clauses)


def _clause(stage: str, change: Change, before: StageNumbers, after: StageNumbers) -> str:
    from_to = f"from {percent(before.accuracy.mean)} to {percent(after.accuracy.mean)}"
    size = f"{points(change.over_prompts)} points, 95 % interval {_interval_over(change)}"
    if change.significant:
        verb = "raised" if change.over_prompts.mean > 0 else "lowered"
        return f"{stage} significantly {verb} accuracy {from_to} ({size})"
    if not change.testable:
        return f"accuracy went {from_to} with {stage} ({size})"
    return f"{stage} did not change accuracy significantly ({from_to}: {size})"


def _interval_over(difference: Difference) -> str:
    """`[-10.9, -5.0] over prompts`."""
    return f"{signed_interval(difference.shown)} over {'runs' if difference.over_seeds else 'prompts'}"


def _who_is_ahead(comparison: Comparison, dataset: str) -> str:
    algorithms = dict.fromkeys(pair.rl for pair in comparison.pairs)
    groups = [[pair for pair in comparison.pairs if (pair.dataset, pair.rl) == (dataset, rl)] for rl in algorithms]
    return f"on {dataset}, " + "; ".join(_standing(pairs, comparison) for pairs in groups if pairs)


def _standing(pairs: list[Pair], comparison: Comparison) -> str:
    rl, reference = pairs[0].rl, pairs[0].reference
    stage = "after SFT alone" if rl == "none" else f"after {comparison.rl_steps[rl]}"
    if not comparison.one_seed and pairs[0].dataset == comparison.datasets[0]:
        stage += f" ({num_runs([arm for arm in comparison.arms if arm.rl == rl])})"
    better = [_with_points(pair) for pair in pairs if pair.significant and pair.over_prompts.mean > 0]
    worse = [_with_points(pair) for pair in pairs if pair.significant and pair.over_prompts.mean < 0]
    undecided = [pair.init for pair in pairs if pair.testable and not pair.significant]
    untested = [_with_points(pair) for pair in pairs if not pair.testable]
    clauses = [
        f"{_list(names)} {one if len(names) == 1 else many} {standing} {reference}"
        for names, one, many, standing in (
            (better, "is", "are", "significantly better than"),
            (worse, "is", "are", "significantly worse than"),
            (undecided, "is", "are", "not significantly different from"),
            (untested, "has", "have", "too few training runs for a test against"),
        )
        if names
    ]
    return f"{stage}: " + ", and ".join(clauses)


def num_runs(arms: Sequence[Arm]) -> str:
    """`3 training runs per arm`."""
    numbers = sorted({len(arm.seeds) for arm in arms})
    if numbers == [1]:
        return "one training run per arm"
    return f"{'-'.join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))} training runs per arm"


def _with_points(pair: Pair) -> str:
    return f"{pair.init} ({points(pair.over_prompts)} points {_interval_over(pair)})"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _scope(comparison: Comparison) -> str:
    if any(len(arm.seeds) >= MIN_RUNS for arm in comparison.arms):
        return f"{RULE}. Intervals over prompts describe these checkpoints only."
    return (
        f"These are numbers of checkpoints ({num_runs(comparison.arms)}), not findings about methods, which need at"
        f" least {MIN_RUNS} training runs on each side; intervals over prompts say how these checkpoints would do on"
        " other prompts of the same kind."
    )


def reading_notes(comparison: Comparison) -> str:
    """How to read the main tables."""
    sampling = comparison.conditions["sampling"]
    accuracies = (
        f"Accuracy: mean of {sampling['num_samples']} samples per prompt at temperature {sampling['temperature']:g}, in"
        " percent; changes in points."
    )
    over_prompts = "95 % intervals over prompts, which describe these checkpoints"
    if len(comparison.arms) > 1:
        several = "over the runs of an arm that has several (x3: three), which describe the method, else over prompts"
        brackets = over_prompts if comparison.one_seed else f"95 % intervals {several}"
        star = (
            f" *: significant (at least {MIN_RUNS} runs on each side, Holm's correction)." if comparison.pairs else ""
        )
        return f"{accuracies} In brackets: {brackets}.{star}"
    over = "over training runs for changes, else over prompts"
    brackets = over_prompts if comparison.one_seed else f"95 % intervals {over}"
    change = "Change: paired by prompt, against the row before (after RL only: against Original); p over prompts."
    truncated = "Truncated: responses that reached the token limit."
    return f"{accuracies} {change} In brackets: {brackets}. {truncated}"
