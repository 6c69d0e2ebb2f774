"""Numbers in words: percentages, intervals, and a summary that claims no more than they support."""

from collections.abc import Sequence

from vcore_verl.evaluation.statistics import Estimate
from vcore_verl.report.figures import MIN_RUNS, Arm, Change, Comparison, Pair, StageFigures

RULE = (
    f"A difference is called significant only with at least {MIN_RUNS} training runs on each side and p < 0.05 after"
    " Holm's correction, over runs as well as over prompts"
)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


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
        figures = "; ".join(f"{percent(base.accuracy.mean)} on {name}" for name, base in comparison.base.items())
        return f"The original model answers {figures} correctly. No training run has been evaluated yet."
    if comparison.pairs:
        finding = "; ".join(_who_is_ahead(comparison, name) for name in comparison.datasets)
    else:
        findings = [_what_each_stage_brought(arm, name) for name in comparison.datasets for arm in comparison.arms]
        finding = "; ".join(findings)
    return f"{finding[0].upper()}{finding[1:]}. {_scope(comparison)}"


def _what_each_stage_brought(arm: Arm, dataset: str) -> str:
    figures = arm.datasets[dataset]
    clauses = []
    if figures.sft and figures.base and figures.pre:
        clauses.append(_clause(f"SFT ({arm.init})", figures.sft, figures.base, figures.pre))
    if figures.rl and figures.pre and figures.post:
        clauses.append(_clause(f"RL ({arm.rl})", figures.rl, figures.pre, figures.post))
    if not clauses and figures.final:
        clauses.append(f"accuracy is {percent(figures.final.accuracy.mean)}")
    return f"on {dataset}, " + " and ".join(clauses)


def _clause(stage: str, change: Change, before: StageFigures, after: StageFigures) -> str:
    from_to = f"from {percent(before.accuracy.mean)} to {percent(after.accuracy.mean)}"
    size = f"{points(change.difference)} points, 95 % interval {_interval_over(change)}"
    if change.significant:
        verb = "raised" if change.difference.mean > 0 else "lowered"
        return f"{stage} significantly {verb} accuracy {from_to} ({size})"
    if len(change.by_seed) < MIN_RUNS:
        return f"accuracy went {from_to} with {stage} ({size})"
    return f"{stage} did not change accuracy significantly ({from_to}: {size})"


def _interval_over(change: Change | Pair) -> str:
    """`[-10.9, -5.0] over prompts`."""
    return f"{signed_interval(change.shown)} over {'runs' if change.over_seeds else 'prompts'}"


def _who_is_ahead(comparison: Comparison, dataset: str) -> str:
    groups = [
        [pair for pair in comparison.pairs if (pair.dataset, pair.rl) == (dataset, rl)] for rl in _rls(comparison)
    ]
    return f"on {dataset}, " + "; ".join(_standing(pairs, comparison) for pairs in groups if pairs)


def _rls(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(pair.rl for pair in comparison.pairs))


def _standing(pairs: list[Pair], comparison: Comparison) -> str:
    rl, reference = pairs[0].rl, pairs[0].reference
    stage = "after SFT alone" if rl == "none" else f"after {rl}"
    if not comparison.one_seed and pairs[0].dataset == comparison.datasets[0]:
        stage += f" ({num_runs([arm for arm in comparison.arms if arm.rl == rl])})"
    better = [_with_points(pair) for pair in pairs if pair.significant and pair.difference.mean > 0]
    worse = [_with_points(pair) for pair in pairs if pair.significant and pair.difference.mean < 0]
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
    return f"{pair.init} ({points(pair.difference)} points {_interval_over(pair)})"


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
