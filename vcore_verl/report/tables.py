"""The tables of report.md and report.html, cell by cell."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vcore_verl.report.figures import Arm, Change, Comparison, StageFigures
from vcore_verl.report.rows import HEADER, rows
from vcore_verl.report.wording import RULE, p_value, percent, points, signed_interval


class Table(NamedTuple):
    """A note explains what the header cannot."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    note: str = ""


def main_table(comparison: Comparison, dataset: str) -> Table:
    """One arm stage by stage; of several arms one line each."""
    return arms_table(comparison, dataset) if len(comparison.arms) > 1 else stages_table(comparison, dataset)


def stages_table(comparison: Comparison, dataset: str) -> Table:
    """Original, then every arm after SFT and after RL."""
    return Table(HEADER, [row.cells() for row in rows(comparison, dataset)])


def arms_table(comparison: Comparison, dataset: str) -> Table:
    """Original, then a line for each arm: accuracy before and after RL, and what RL changed."""
    several = not comparison.one_seed
    device = "GPU" if any(arm.provenance.device == "cuda" for arm in comparison.arms) else "CPU"
    columns = [
        ("arm", True),
        ("runs", several),
        ("before RL", True),
        ("after RL", True),
        ("by RL", True),
        ("over prompts", True),
        ("p (Holm)", True),
        ("over runs", several),
        ("p (Holm)", several),
        ("greedy", comparison.conditions["sampling"]["greedy"]),
        ("tokens", True),
        ("truncated", True),
        (f"{device} hours", any(arm.provenance.device_hours for arm in comparison.arms)),
    ]
    lines = [_arm_cells(arm, dataset) for arm in comparison.arms]
    if dataset in comparison.base:
        lines.insert(0, _original_cells(comparison.base[dataset]))
    shown = [[cell for cell, (_, is_shown) in zip(line, columns, strict=True) if is_shown] for line in lines]
    return Table([name for name, is_shown in columns if is_shown], shown)


def _original_cells(figures: StageFigures) -> list[str]:
    return ["Original", "", percent(figures.accuracy.mean), *[""] * 6, _greedy(figures), *_responses(figures), ""]


def _arm_cells(arm: Arm, dataset: str) -> list[str]:
    figures = arm.datasets[dataset]
    final, cost = figures.final, arm.provenance
    assert final is not None
    return [
        arm.name,
        str(len(arm.seeds)),
        percent(figures.pre.accuracy.mean) if figures.pre else "",
        percent(figures.post.accuracy.mean) if figures.post else "",
        *_change(figures.rl),
        " to ".join(_greedy(stage) for stage in (figures.pre, figures.post) if stage),
        *_responses(final),
        f"{cost.device_hours:.2f}" if cost.device_hours else "",
    ]


def _change(change: Change | None) -> list[str]:
    if change is None:
        return [""] * 5
    over_prompts = [signed_interval(change.difference), p_value(change.p_holm)]
    over_runs = [signed_interval(change.over_seeds) if change.over_seeds else "", p_value(change.over_seeds_p_holm)]
    return [points(change.difference), *over_prompts, *over_runs]


def _greedy(figures: StageFigures) -> str:
    return percent(figures.greedy.mean) if figures.greedy else ""


def _responses(figures: StageFigures) -> list[str]:
    return [f"{figures.mean_tokens:.0f}", percent(figures.truncated)]


def pairwise_table(comparison: Comparison) -> Table | None:
    """Final accuracy of every initialiser against the reference."""
    if not comparison.pairs:
        return None
    several = any(pair.over_seeds for pair in comparison.pairs)
    greedy = any(pair.greedy for pair in comparison.pairs)
    header = ["data set", "RL", "arms", "difference", "over prompts", "p (Holm)"]
    header += ["over runs", "p (Holm)"] if several else []
    lines = []
    for pair in comparison.pairs:
        line = [pair.dataset, pair.rl, f"{pair.init} - {pair.reference}", points(pair.difference)]
        line += [signed_interval(pair.difference), p_value(pair.p_holm)]
        if several:
            line += [signed_interval(pair.over_seeds), p_value(pair.over_seeds_p_holm)] if pair.over_seeds else ["", ""]
        line.append(("yes" if pair.significant else "no") if pair.testable else "too few runs")
        if greedy:
            line.append(f"{points(pair.greedy)} {signed_interval(pair.greedy)}" if pair.greedy else "")
        lines.append(line)
    note = (
        "Difference in final accuracy, in points. Over prompts: paired t interval and test, which describe these"
        " checkpoints."
    )
    if several:
        note += " Over runs: Welch's interval and test over training seeds, which describe the methods."
    note += f" p with Holm's correction over the comparisons of one data set and RL algorithm. {RULE}."
    if greedy:
        note += " Greedy: the same of the greedy answers, over runs where there are several, else over prompts."
    return Table([*header, "significant", *["greedy"] * greedy], lines, note)


def seeds_table(comparison: Comparison) -> Table | None:
    """Accuracy of every training run of the arms that have several."""
    lines = list(_seed_lines(comparison))
    header = ("arm", "data set", "before RL, by run", "after RL, by run", "deviation before", "deviation after")
    note = "In percent, in order of the seeds; deviation: the runs' standard deviation, in points."
    return Table(header, lines, note) if lines else None


def _seed_lines(comparison: Comparison) -> Iterator[list[str]]:
    for arm in comparison.arms:
        if len(arm.seeds) > 1:
            for name, figures in arm.datasets.items():
                stages = (figures.pre if arm.init != "none" else None, figures.post)
                runs = [_by_seed(stage) for stage in stages]
                spreads = [
                    f"{100 * stage.spread.standard_deviation:.1f}" if stage and stage.spread else "" for stage in stages
                ]
                yield [arm.name, name, *runs, *spreads]


def _by_seed(figures: StageFigures | None) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in figures.by_seed) if figures else ""


def statuses_table(comparison: Comparison) -> Table:
    """What the grader said of the responses of the original model and of every arm's final checkpoints."""
    models = [("Original", name, figures) for name, figures in comparison.base.items()]
    finals = [(arm.name, name, item.final) for arm in comparison.arms for name, item in arm.datasets.items()]
    shown = models + [(label, name, figures) for label, name, figures in finals if figures]
    lines = [
        [label, name, *(percent(share) for share in figures.statuses.values()), percent(figures.truncated)]
        for label, name, figures in shown
    ]
    header = ["arm", "data set", *(status.replace("_", " ") for status in shown[0][2].statuses), "truncated"]
    note = "Shares of the samples, of an arm those of its final checkpoints. A truncated response counts in both."
    return Table(header, lines, note)


def changes_table(comparison: Comparison) -> Table | None:
    """Prompts solved before and after RL, two by two."""
    header = ("arm", "data set", "both times", "gained", "lost", "neither time", "gained, e.g.", "lost, e.g.")
    lines = []
    for item in comparison.transitions:
        counts = map(str, (item.both, item.gained, item.lost, item.neither))
        examples = [f"`{found[0].prompt_id}`" if found else "" for found in (item.gained_examples, item.lost_examples)]
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
