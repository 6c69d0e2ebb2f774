"""The tables of a report, cell by cell, for each of its forms. Accuracies are in percent, differences in points."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vcore_verl.evaluation.statistics import standard_deviation
from vcore_verl.report.numbers import Arm, Change, Comparison, Difference, StageNumbers
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
    references = {pair.reference for pair in comparison.pairs}
    header = ["arm", "before RL", "after RL", "by RL"]
    if references:
        header.append(f"against {references.pop() if len(references) == 1 else 'reference'}")
    lines = [_arm_cells(comparison, arm, dataset)[: len(header)] for arm in comparison.arms]
    groups = [0, *(i for i, arm in enumerate(comparison.arms) if i and arm.rl != comparison.arms[i - 1].rl)]
    if dataset in comparison.base:
        lines.insert(0, ["Original", accuracy(comparison.base[dataset]), *[""] * (len(header) - 2)])
        groups = [group + 1 for group in groups]
    return Table(header, lines, groups=groups)


def _arm_cells(comparison: Comparison, arm: Arm, dataset: str) -> list[str]:
    numbers = arm.datasets[dataset]
    pair = comparison.pair(arm, dataset)
    return [
        arm.name + (f" x{len(arm.seeds)}" if len(arm.seeds) > 1 else ""),
        accuracy(numbers.pre),
        accuracy(numbers.post),
        _with_interval(numbers.rl) if numbers.rl else "",
        f"{_with_interval(pair)}{' *' if pair.significant else ''}" if pair else "",
    ]


def _with_interval(difference: Difference) -> str:
    return f"{points(difference.over_prompts)} {signed_interval(difference.shown)}"


def _stages(comparison: Comparison, dataset: str) -> Iterator[tuple[str, StageNumbers, Change | None]]:
    """Original, then every arm after SFT and after RL, with the change against the stage before."""
    if dataset in comparison.base:
        yield "Original", comparison.base[dataset], None
    for arm in comparison.arms:
        numbers = arm.datasets[dataset]
        seeds = f", {len(arm.seeds)} seeds" if len(arm.seeds) > 1 else ""
        if arm.init != "none" and numbers.pre:
            yield f"after SFT ({arm.init}{seeds})", numbers.pre, numbers.sft
        if numbers.post:
            trained = arm.rl if arm.init == "none" or len(comparison.arms) == 1 else f"{arm.init}, {arm.rl}"
            yield f"after RL{' only' if arm.init == 'none' else ''} ({trained}{seeds})", numbers.post, numbers.rl


_TESTS = ("over prompts", "p (Holm)", "over runs", "p (Holm)")


def _tests(difference: Difference | None) -> list[str]:
    """Intervals and p over prompts and over runs, under the header `_TESTS`."""
    if difference is None:
        return [""] * 4
    over_runs = signed_interval(difference.over_seeds) if difference.over_seeds else ""
    over_prompts = [signed_interval(difference.over_prompts), p_value(difference.p_holm)]
    return [*over_prompts, over_runs, p_value(difference.over_seeds_p_holm)]


def _greedy(difference: Difference) -> str:
    return f"{points(difference.greedy)} {signed_interval(difference.greedy)}" if difference.greedy else ""


def pairwise_table(comparison: Comparison) -> Table | None:
    """Final accuracy of every SFT objective against the reference."""
    lines = []
    for pair in comparison.pairs:
        significant = ("yes" if pair.significant else "no") if pair.testable else "too few runs"
        names = [pair.dataset, pair.rl, f"{pair.init} - {pair.reference}"]
        lines.append([*names, points(pair.over_prompts), *_tests(pair), significant, _greedy(pair)])
    note = (
        "Difference in final accuracy, in points. Over prompts: paired t interval and test, which describe these"
        " checkpoints. Over runs: Welch's interval and test over training seeds, which describe the methods. p with"
        f" Holm's correction over the comparisons of one data set and RL algorithm. {RULE}. Greedy: the same of the"
        " greedy responses, over runs where there are several, else over prompts."
    )
    header = ("data set", "RL", "arms", "difference", *_TESTS, "significant", "greedy")
    return Table(header, lines, note) if lines else None


def stages_table(comparison: Comparison) -> Table:
    """Every stage of every arm with all analyses of what it changed."""
    lines = []
    for dataset in comparison.datasets:
        for label, numbers, change in _stages(comparison, dataset):
            shown = f"{accuracy(numbers)} {interval(numbers.accuracy)}"
            greedy = f"{100 * numbers.greedy.mean:.1f}" if numbers.greedy else ""
            changed = points(change.over_prompts) if change else ""
            lines.append([dataset, label, shown, greedy, changed, *_tests(change)])
    note = (
        "Accuracy in percent with its interval over prompts, greedy: of the greedy responses. Change: in points,"
        " against the stage before of the same arm (after RL only: against Original), with a paired t interval and test"
        " over prompts, which describe these checkpoints, and over training runs, which describe the method. p with"
        " Holm's correction over the arms of the data set."
    )
    return Table(("data set", "model", "accuracy", "greedy", "change", *_TESTS), lines, note)


def seeds_table(comparison: Comparison) -> Table | None:
    """Accuracy of every training run of the arms that have several."""
    lines = []
    for arm in comparison.arms:
        for name, numbers in arm.datasets.items() if len(arm.seeds) > 1 else ():
            stages = (numbers.pre if arm.init != "none" else None, numbers.post)
            lines.append([arm.name, name, *(_by_seed(stage) for stage in stages)])
    note = "In percent, in order of the seeds; ± the runs' standard deviation, in points."
    return Table(("arm", "data set", "before RL", "after RL"), lines, note) if lines else None


def _by_seed(numbers: StageNumbers | None) -> str:
    if numbers is None:
        return ""
    runs = ", ".join(f"{100 * value:.1f}" for value in numbers.by_seed)
    deviation = standard_deviation(numbers.by_seed)
    return f"{runs} ± {100 * deviation:.1f}" if deviation is not None else runs


def responses_table(comparison: Comparison) -> Table:
    """Length and status of the responses of the original model and of every arm's final checkpoints."""
    models = [("Original", name, numbers) for name, numbers in comparison.base.items()]
    finals = [(arm.name, name, item.final) for arm in comparison.arms for name, item in arm.datasets.items()]
    shown = models + [(label, name, numbers) for label, name, numbers in finals if numbers]
    lines = [
        [
            label,
            name,
            *map(percent, numbers.statuses.values()),
            percent(numbers.truncated),
            f"{numbers.mean_tokens:.0f}",
        ]
        for label, name, numbers in shown
    ]
    statuses = [status.replace("_", " ") for status in shown[0][2].statuses]
    note = (
        "Shares of the samples, and their mean number of tokens; of an arm those of its final checkpoints. A truncated"
        " response is graded by what it answered before the limit."
    )
    return Table(["arm", "data set", *statuses, "truncated", "tokens"], lines, note)


def changes_table(comparison: Comparison) -> Table | None:
    """Prompts solved before and after RL, two by two."""
    header = ("arm", "data set", "both times", "gained", "lost", "neither time", "gained, e.g.", "lost, e.g.")
    lines = []
    for item in comparison.transitions:
        counts = map(str, (item.both, item.gained, item.lost, item.neither))
        examples = [f"`{found[0]}`" if found else "" for found in (item.gained_examples, item.lost_examples)]
        lines.append((f"{item.arm}, seed {item.seed}", item.dataset, *counts, *examples))
    note = (
        "Prompts solved before and after RL; solved: at least half of the samples are correct."
        f" `python -m vcore_verl view runs/{comparison.name} --prompt ID` shows one."
    )
    return Table(header, lines, note) if lines else None


def cost_table(comparison: Comparison) -> Table | None:
    """Training time of every arm."""
    header = ("arm", "SFT minutes", "RL minutes", "ranks", "device hours")
    lines = []
    for arm in comparison.arms:
        cost = arm.provenance
        minutes = (f"{cost.sft_seconds / 60:.1f}", f"{cost.rl_seconds / 60:.1f}")
        lines.append((arm.name, *minutes, f"{cost.ranks} ({cost.device})", f"{cost.device_hours:.2f}"))
    note = (
        "Training of one run, the mean over its seeds; device hours are wall-clock hours times ranks. All runs"
        f" together, SFT that several start from counted once: {comparison.device_hours:.2f} device hours."
    )
    return Table(header, lines, note) if any(arm.provenance.device_hours for arm in comparison.arms) else None
