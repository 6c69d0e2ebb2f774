"""Numbers as text: percentages, intervals, and a summary that claims no more than they support."""

from collections.abc import Sequence
from itertools import groupby

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
    if comparison.pairwise:
        finding = "; ".join(_who_is_ahead(comparison, name) for name in comparison.datasets)
    else:
        findings = [_changes(comparison, arm, name) for name in comparison.datasets for arm in comparison.arms]
        finding = "; ".join(findings)
    return f"{finding[0].upper()}{finding[1:]}. {_scope(comparison)}"


def _changes(comparison: Comparison, arm: Arm, dataset: str) -> str:
    numbers = arm.datasets[dataset]
    clauses = []
    if numbers.sft_delta:
        clauses.append(_clause(f"SFT ({arm.init})", numbers.sft_delta, numbers.base, numbers.pre))
    if numbers.delta and numbers.post:
        clauses.append(_clause(f"RL ({comparison.rl_steps[arm.rl]})", numbers.delta, numbers.pre, numbers.post))
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
    found = [pair for pair in comparison.pairwise if pair.dataset == dataset]
    standings = [_standing(list(pairs), comparison) for _, pairs in groupby(found, lambda pair: pair.rl)]
    return f"on {dataset}, {'; '.join(standings)}"


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
    numbers = {len(arm.seeds) for arm in arms}
    low, high = min(numbers), max(numbers)
    if high == 1:
        return "one training run per arm"
    return f"{low if low == high else f'{low}-{high}'} training runs per arm"


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
    several_arms = len(comparison.arms) > 1
    notes = [
        f"Accuracy: mean of {sampling['num_samples']} samples per prompt at temperature {sampling['temperature']:g}, in"
        " percent; changes in points."
    ]
    if not several_arms:
        notes.append(
            "Change: paired by prompt, against the row before (after RL only: against Original); p over prompts."
        )
    over = "prompts, which describe these checkpoints"
    if not comparison.one_seed:
        runs = "the runs of an arm that has several (x3: three), which describe the method"
        over = f"{runs if several_arms else 'training runs for changes'}, else over prompts"
    notes.append(f"In brackets: 95 % intervals over {over}.")
    if comparison.pairwise:
        notes.append(f"*: significant (at least {MIN_RUNS} runs on each side, Holm's correction).")
    if not several_arms:
        notes.append("Truncated: responses that reached the token limit.")
    changes = [item.delta or item.sft_delta for arm in comparison.arms for item in arm.datasets.values()]
    effects = sorted(100 * change.minimum_detectable for change in changes if change and change.minimum_detectable)
    if effects:
        size = " to ".join(dict.fromkeys([f"{effects[0]:.1f}", f"{effects[-1]:.1f}"]))
        notes.append(f"The paired test over prompts would detect a true change of {size} points with 80 % power.")
    return " ".join(notes)
