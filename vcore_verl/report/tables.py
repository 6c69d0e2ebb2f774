"""The tables of a report, cell by cell, for each of its forms. Accuracies are in percent, differences in points."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vcore_verl.evaluation.statistics import standard_deviation
from vcore_verl.report.numbers import Arm, Change, Comparison, Difference, StageNumbers
from vcore_verl.report.transitions import Transition
from vcore_verl.report.wording import RULE, accuracy, interval, p_value, percent, points, signed_interval


class Table(NamedTuple):
    """A note explains what the header cannot; lines with these indices begin `groups`."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    note: str = ""
    groups: Sequence[int] = ()


def main_table(comparison: Comparison, dataset: str) -> Table:
    """The primary analysis: one arm stage by stage; of several arms one line each."""
    return arms_table(comparison, dataset) if len(comparison.arms) > 1 else one_arm_table(comparison, dataset)


def one_arm_table(comparison: Comparison, dataset: str) -> Table:
    lines = []
    for label, numbers, change in _stages(comparison, dataset):
        shown = [_with_interval(change), p_value(change.p_holm)] if change else ["", ""]
        responses = [f"{numbers.mean_tokens:.0f}", percent(numbers.truncated)]
        lines.append([label, f"{accuracy(numbers)} {interval(numbers.accuracy)}", *shown, *responses])
    return Table(("model", "accuracy (%)", "change (points)", "p", "tokens", "truncated"), lines)


def arms_table(comparison: Comparison, dataset: str) -> Table:
    references = {pair.reference for pair in comparison.pairwise}
    header = ["arm", "before RL", "after RL", "by RL"]
    if references:
        header.append(f"against {references.pop() if len(references) == 1 else 'reference'}")
    rows = [("", ["Original", accuracy(comparison.base[dataset]), *[""] * (len(header) - 2)])]
    rows += [(arm.rl, _arm_cells(comparison, arm, dataset)[: len(header)]) for arm in comparison.arms]
    groups = [number for number, (rl, _) in enumerate(rows) if number and rl != rows[number - 1][0]]
    return Table(header, [cells for _, cells in rows], groups=groups)


def _arm_cells(comparison: Comparison, arm: Arm, dataset: str) -> list[str]:
    numbers = arm.datasets[dataset]
    same = (pair for pair in comparison.pairwise if (pair.dataset, pair.rl, pair.init) == (dataset, arm.rl, arm.init))
    pair = next(same, None)  # the reference has none
    return [
        arm.name + (f" x{len(arm.seeds)}" if len(arm.seeds) > 1 else ""),
        accuracy(numbers.pre),
        accuracy(numbers.post),
        _with_interval(numbers.delta) if numbers.delta else "",
        f"{_with_interval(pair)}{' *' if pair.significant else ''}" if pair else "",
    ]


def _with_interval(difference: Difference) -> str:
    return f"{points(difference.over_prompts)} {signed_interval(difference.shown)}"


def _stages(comparison: Comparison, dataset: str) -> Iterator[tuple[str, StageNumbers, Change | None]]:
    """Original, then every arm after SFT and after RL, with the change against the stage before."""
    yield "Original", comparison.base[dataset], None
    for arm in comparison.arms:
        numbers = arm.datasets[dataset]
        seeds = f", {len(arm.seeds)} seeds" if len(arm.seeds) > 1 else ""
        if arm.init != "none":
            yield f"after SFT ({arm.init}{seeds})", numbers.pre, numbers.sft_delta
        if numbers.post:
            trained = arm.rl if arm.init == "none" or len(comparison.arms) == 1 else f"{arm.init}, {arm.rl}"
            yield f"after RL{' only' if arm.init == 'none' else ''} ({trained}{seeds})", numbers.post, numbers.delta


_TESTS = ("over prompts", "p (Holm)", "over runs", "p (Holm)")


def _tests(difference: Difference) -> list[str]:
    """Intervals and p over prompts and over runs, under the header `_TESTS`."""
    over_runs = signed_interval(difference.over_seeds) if difference.over_seeds else ""
    over_prompts = [signed_interval(difference.over_prompts), p_value(difference.p_holm)]
    return [*over_prompts, over_runs, p_value(difference.over_seeds_p_holm)]


def pairwise_table(comparison: Comparison) -> Table:
    """Final accuracy of every SFT objective against the reference."""
    lines = []
    for pair in comparison.pairwise:
        significant = ("yes" if pair.significant else "no") if pair.testable else "too few runs"
        names = [pair.dataset, pair.rl, f"{pair.init} - {pair.reference}"]
        greedy = f"{points(pair.greedy)} {signed_interval(pair.greedy)}" if pair.greedy else ""
        lines.append([*names, points(pair.over_prompts), *_tests(pair), significant, greedy])
    note = (
        "Difference in final accuracy, in points. Over prompts: paired t interval and test, which describe these"
        " checkpoints. Over runs: Welch's interval and test over training seeds, which describe the methods. p with"
        f" Holm's correction over the comparisons of one data set and RL algorithm. {RULE}. Greedy: the same of the"
        " greedy responses, over runs where there are several, else over prompts."
    )
    return Table(("data set", "RL", "arms", "difference", *_TESTS, "significant", "greedy"), lines, note)


def stages_table(comparison: Comparison) -> Table:
    """Every stage of every arm, run by run, with all analyses of what it changed."""
    lines = []
    for dataset in comparison.datasets:
        for label, numbers, change in _stages(comparison, dataset):
            shown = f"{accuracy(numbers)} {interval(numbers.accuracy)}"
            greedy = f"{100 * numbers.greedy.mean:.1f}" if numbers.greedy else ""
            changed = [points(change.over_prompts), *_tests(change)] if change else [""] * (1 + len(_TESTS))
            lines.append([dataset, label, shown, _by_run(numbers), greedy, *changed])
    note = (
        "Accuracy in percent with its interval over prompts; by run: that of each, in order of the seeds, ± their"
        " standard deviation; greedy: of the greedy responses. Change: in points, against the stage before of the same"
        " arm (after RL only: against Original), with a paired t interval and test over prompts, which describe these"
        " checkpoints, and over training runs, which describe the method. p with Holm's correction over the arms of the"
        " data set."
    )
    return Table(("data set", "model", "accuracy", "by run", "greedy", "change", *_TESTS), lines, note)


def _by_run(numbers: StageNumbers) -> str:
    """Nothing where there is one run."""
    deviation = standard_deviation(numbers.by_seed)
    if deviation is None:
        return ""
    return f"{', '.join(f'{100 * run:.1f}' for run in numbers.by_seed)} ± {100 * deviation:.1f}"


def responses_table(comparison: Comparison) -> Table:
    """Length and status of the responses at every stage."""
    stages = [(name, *stage[:2]) for name in comparison.datasets for stage in _stages(comparison, name)]
    lines = []
    for name, label, numbers in stages:
        shares = map(percent, [*numbers.statuses.values(), numbers.truncated])
        lines.append([name, label, *shares, f"{numbers.mean_tokens:.0f}"])
    statuses = [status.replace("_", " ") for status in stages[0][2].statuses]
    note = (
        "Shares of the samples, and their mean number of tokens. A truncated response is graded by what it answered"
        " before the limit."
    )
    return Table(("data set", "model", *statuses, "truncated", "tokens"), lines, note)


def changes_table(recipe_name: str, found: Sequence[Transition]) -> Table:
    """Prompts solved before and after training, two by two, with the ids of some that changed."""
    lines = [
        [
            f"{item.arm}, seed {item.seed}",
            item.dataset,
            str(item.both),
            str(item.neither),
            _count_and_ids(item.gained, item.gained_examples),
            _count_and_ids(item.lost, item.lost_examples),
        ]
        for item in found
    ]
    note = (
        "Prompts solved before and after RL, or SFT in arms without RL; solved: at least half of the samples are"
        f" correct. `python -m vcore_verl view runs/{recipe_name} --prompt ID` shows one."
    )
    return Table(("arm", "data set", "both times", "neither time", "gained", "lost"), lines, note)


def _count_and_ids(count: int, ids: Sequence[str]) -> str:
    return f"{count}: {' '.join(ids)}" if ids else str(count)


def cost_table(comparison: Comparison) -> Table:
    """Training time of every arm; no lines where nothing of it was recorded."""
    lines = []
    for arm in comparison.arms if comparison.device_hours else ():
        cost = arm.provenance
        minutes = (f"{cost.sft_seconds / 60:.1f}", f"{cost.rl_seconds / 60:.1f}")
        lines.append((arm.name, *minutes, f"{cost.ranks} ({cost.device})", f"{cost.device_hours:.2f}"))
    note = (
        "Training of one run, the mean over its seeds; device hours are wall-clock hours times ranks. All runs"
        f" together, SFT that several start from counted once: {comparison.device_hours:.2f} device hours."
    )
    return Table(("arm", "SFT minutes", "RL minutes", "ranks", "device hours"), lines, note)
