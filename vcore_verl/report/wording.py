"""Numbers as text: percentages, intervals, and a summary that claims only what they support."""

from collections.abc import Sequence
from itertools import groupby

from vcore_verl.evaluation.statistics import Estimate
from vcore_verl.report.numbers import MIN_RUNS, Arm, Change, Comparison, Difference, Pair, StageNumbers
from vcore_verl.report.scores import SAMPLED

RULE = (
    f"A difference is called significant only on the primary measure, with at least {MIN_RUNS} training runs on each"
    " side and an interval over runs (Welch) that excludes zero after Holm's correction"
)
IN_BRACKETS = (
    "In brackets: 95 % intervals, those over runs (Welch) with Holm's correction within the family, those over prompts"
    " without"
)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def accuracy(numbers: StageNumbers | None, decoding: str) -> str:
    """`41.2`, in percent; empty for a stage that was not run, or without responses of that decoding."""
    found = numbers and numbers.accuracy.get(decoding)
    return f"{100 * found.estimate.mean:.1f}" if found else ""


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


def answer(comparison: Comparison) -> list[str]:
    """Paragraphs: the primary measure, its result, the results of secondary measures, and whether they describe methods
    or these checkpoints.
    """
    if not comparison.arms:
        original = {name: numbers.sampled.estimate for name, numbers in comparison.base.items()}
        found = "; ".join(f"{percent(estimate.mean)} on {name}" for name, estimate in original.items())
        return [f"The original model answers {found} correctly. No training run has been evaluated yet."]
    if comparison.pairs(comparison.primary):
        primary, secondary = _standings(comparison), _secondary(comparison)
    else:
        primary, *others = (_changes(comparison, name) for name in comparison.datasets)
        secondary = f"Secondary: {'; '.join(others)}." if others else ""
    primary = f"{primary[0].upper()}{primary[1:]}."
    return [line for line in (primary_line(comparison), primary, secondary, _scope(comparison)) if line]


def primary_line(comparison: Comparison) -> str:
    """The primary measure, fixed before the runs, and the RL budget for which it holds."""
    algorithms = [steps for rl, steps in comparison.rl_steps.items() if rl != "none"]
    line = f"Primary measure: {comparison.primary.label}"
    if comparison.primary.stage == "sft" or not algorithms:
        return f"{line}. All others are secondary."
    return (
        f"{line} with a fixed budget ({' and '.join(algorithms)}). With another budget another initialization may be"
        " best: see the curves over the steps. All other measures are secondary."
    )


def _changes(comparison: Comparison, dataset: str) -> str:
    clauses = [clause for arm in comparison.arms for clause in _arm_clauses(comparison, arm, dataset)]
    return f"on {dataset}, " + " and ".join(clauses)


def _arm_clauses(comparison: Comparison, arm: Arm, dataset: str) -> list[str]:
    numbers, decoding = arm.datasets[dataset], comparison.primary.decoding
    clauses = []
    if change := numbers.sft_changes.get(decoding):
        clauses.append(_clause(f"SFT ({arm.init})", change, *_from_to(numbers.base, numbers.pre, decoding)))
    if change := numbers.rl_changes.get(decoding):
        clauses.append(_clause(f"RL ({arm.rl})", change, *_from_to(numbers.pre, numbers.final, decoding)))
    return clauses


def _from_to(before: StageNumbers, after: StageNumbers, decoding: str) -> tuple[str, str]:
    return accuracy(before, decoding), accuracy(after, decoding)


def _clause(stage: str, change: Change, before: str, after: str) -> str:
    from_to, size = f"from {before} to {after} %", f"{points(change.over_prompts)} points {_interval_over(change)}"
    if change.significant:
        verb = "raised" if change.over_prompts.mean > 0 else "lowered"
        return f"{stage} significantly {verb} accuracy {from_to} ({size})"
    if not (change.primary and change.testable):
        return f"accuracy went {from_to} with {stage} ({size})"
    return f"{stage} did not change accuracy significantly ({from_to}: {size})"


def _interval_over(difference: Difference) -> str:
    """`[-10.9, -5.0] over prompts`."""
    return f"{signed_interval(difference.shown)} over {'runs' if difference.over_runs else 'prompts'}"


def _standings(comparison: Comparison) -> str:
    found = groupby(comparison.pairs(comparison.primary), lambda pair: pair.rl)
    return "; ".join(_standing(list(pairs), comparison) for _, pairs in found)


def _standing(pairs: list[Pair], comparison: Comparison) -> str:
    rl, reference = pairs[0].rl, pairs[0].reference
    stage = "after SFT" if rl == "none" else f"after {comparison.rl_steps[rl]}"
    if not comparison.one_seed:
        stage += f" ({num_runs([arm for arm in comparison.arms if rl in ('none', arm.rl)])})"
    better = [_with_points(pair) for pair in pairs if pair.significant and pair.over_prompts.mean > 0]
    worse = [_with_points(pair) for pair in pairs if pair.significant and pair.over_prompts.mean < 0]
    undecided = [_with_points(pair) for pair in pairs if pair.testable and not pair.significant]
    untested = [_with_points(pair) for pair in pairs if pair.num_runs < MIN_RUNS]
    constant = [_with_points(pair) for pair in pairs if pair.num_runs >= MIN_RUNS and not pair.testable]
    clauses = [
        f"{_list(names)} {one if len(names) == 1 else many} {standing} {reference}"
        for names, one, many, standing in (
            (better, "is", "are", "significantly better than"),
            (worse, "is", "are", "significantly worse than"),
            (undecided, "is", "are", "not significantly different from"),
            (untested, "has", "have", "too few training runs for a test against"),
            (constant, "has", "have", "the same accuracy in every run, and so no test against"),
        )
        if names
    ]
    return f"{stage}: " + ", and ".join(clauses)


def _secondary(comparison: Comparison) -> str:
    """Secondary differences with p < 0.05 in their family; not findings."""
    pairs = [pair for pair in comparison.pairwise if not pair.primary and pair.testable]
    if not pairs:
        return ""
    found = groupby((pair for pair in pairs if pair.below_level), lambda pair: (pair.measure, pair.rl))
    families = [
        f"{measure.label}{f' with {rl}' if rl != 'none' else ''}: {_list([_with_points(pair) for pair in members])}"
        for (measure, rl), members in found
    ]
    note = "each measure is a family of its own, so these are leads to follow, not findings"
    return f"Secondary differences with p < 0.05 in their family ({note}): {'; '.join(families) or 'none'}."


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
        return f"{RULE}."
    return (
        f"These are numbers of checkpoints ({num_runs(comparison.arms)}), not findings about methods, which need at"
        f" least {MIN_RUNS} training runs on each side; intervals over prompts say how these checkpoints would do on"
        " other prompts of the same kind."
    )


def titles(comparison: Comparison) -> dict[str, str]:
    """Data set -> title of its main table, that of the primary measure first."""
    prompts, (primary, _, decoding) = comparison.conditions["datasets"], vars(comparison.primary).values()
    return {
        name: f"{name} ({prompts[name]} prompts): {'primary' if name == primary else 'secondary'}, {decoding}"
        for name in comparison.datasets
    }


def over(comparison: Comparison) -> str:
    """What the intervals of changes and differences are over."""
    numbers = {len(arm.seeds) > 1 for arm in comparison.arms}
    return {True: "over runs", False: "over prompts"}[numbers.pop()] if len(numbers) == 1 else "over runs or prompts"


def reading_notes(comparison: Comparison) -> str:
    """How to read the main tables."""
    sampling, decoding = comparison.conditions["sampling"], comparison.primary.decoding
    several_arms = len(comparison.arms) > 1
    how = f"mean of {sampling['num_samples']} samples per prompt at temperature {sampling['temperature']:g}"
    how = how if decoding == SAMPLED else "of one greedy response per prompt"
    notes = [f"Accuracy: {how}, in percent; changes in points."]
    if not several_arms:
        notes.append("Change: paired by prompt, against the row before (after RL only: against Original).")
    notes.append(f"{IN_BRACKETS}.")
    if not comparison.one_seed:
        rest = "; of arms with one run (without x) they are over prompts and describe that checkpoint"
        notes.append(f"Intervals over runs describe the method{rest if several_arms else ''}.")
    else:
        notes.append("Intervals over prompts describe these checkpoints.")
    if comparison.pairwise:
        notes.append(
            f"*: significant (primary measure, at least {MIN_RUNS} runs on each side, Holm's correction); (*):"
            " p < 0.05 in a secondary family, no finding."
        )
    if not several_arms:
        notes.append("Truncated: responses that reached the token limit.")
    changes = [
        change
        for arm in comparison.arms
        for item in arm.datasets.values()
        for change in (item.rl_changes.get(decoding) or item.sft_changes.get(decoding),)
        if change
    ]
    effects = sorted(100 * change.minimum_detectable for change in changes if change.minimum_detectable)
    if effects:
        size = " to ".join(dict.fromkeys([f"{effects[0]:.1f}", f"{effects[-1]:.1f}"]))
        notes.append(f"The paired test over prompts would detect a true change of {size} points with 80 % power.")
    return " ".join(notes)
