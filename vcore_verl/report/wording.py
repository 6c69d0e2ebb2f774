"""Figures in words: percentages, intervals, and the answer in two sentences that claims no more than they carry."""

from collections.abc import Sequence

from vcore_verl.evaluation.statistics import Estimate
from vcore_verl.report.figures import Arm, Change, Comparison, Pair, StageFigures

ONE_RUN = "one training run per arm"


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
    """What the comparison says, in two sentences: the finding, and what it is a finding about."""
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
    size = f"{points(change.difference)} points, 95 % interval {signed_interval(change.shown)}"
    if change.is_clear:
        verb = "raised" if change.difference.mean > 0 else "lowered"
        return f"{stage} {verb} accuracy {from_to} ({size})"
    sample = f"{len(change.by_seed)} training runs" if change.over_seeds else f"{len(before.mean_P)} prompts"
    return f"{stage} made no difference that {sample} can show ({from_to}: {size})"


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
    ahead = [pair for pair in pairs if pair.told_apart and pair.difference.mean > 0]
    behind = [pair for pair in pairs if pair.told_apart and pair.difference.mean < 0]
    undecided = [pair.init for pair in pairs if not pair.told_apart]
    clauses = [
        f"{_list(names)} {'is' if len(names) == 1 else 'are'} {where} {reference}"
        for names, where in (
            ([_with_points(pair) for pair in ahead], "ahead of"),
            ([_with_points(pair) for pair in behind], "behind"),
            (undecided, "not told apart from"),
        )
        if names
    ]
    return f"{stage}: " + ", and ".join(clauses)


def num_runs(arms: Sequence[Arm]) -> str:
    """`3 training runs per arm`."""
    numbers = sorted({len(arm.seeds) for arm in arms})
    if numbers == [1]:
        return ONE_RUN
    return f"{'-'.join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))} training runs per arm"


def _with_points(pair: Pair) -> str:
    return f"{pair.init} ({points(pair.difference)} points {signed_interval(pair.shown)})"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _scope(comparison: Comparison) -> str:
    if comparison.one_seed:
        return (
            f"This is {ONE_RUN}: the intervals say how these checkpoints would fare on other prompts of the same kind,"
            " not what another training run would give."
        )
    single = " (those of single runs are over prompts and speak of these checkpoints only)"
    return (
        "The intervals are over training runs, so that they speak of the methods, on prompts like these"
        f"{single if any(len(arm.seeds) == 1 for arm in comparison.arms) else ''};"
        " a difference counts as one only where it holds over prompts as well."
    )
