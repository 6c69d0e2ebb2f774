"""The report as a terminal shows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vcore_verl.report.figures import MIN_RUNS, Arm, Comparison
from vcore_verl.report.rows import Row, rows
from vcore_verl.report.wording import answer, interval, p_value, points, signed_interval

_FULL_WIDTH = 76  # columns that the table of arms takes with all its intervals


@dataclass(frozen=True)
class _ArmsTable:
    """A line for each arm; in a narrow terminal without the interval of what RL changed."""

    comparison: Comparison
    dataset: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _arms_table(self.comparison, self.dataset, options.max_width >= _FULL_WIDTH)


def terminal_report(comparison: Comparison) -> RenderableType:
    """The summary and a table per data set."""
    several = len(comparison.arms) > 1
    tables = [
        _ArmsTable(comparison, name) if several else _stages_table(comparison, name) for name in comparison.datasets
    ]
    remarks = [f"left out: {item.name}: {item.reason}" for item in comparison.excluded]
    remarks += [f"trained differently: {line}" for line in comparison.trained_differently]
    remarks += comparison.contamination
    return Group(
        Text(answer(comparison)),
        *(Padding(table, (1, 0, 0, 0)) for table in tables),
        Text(_arms_caption(comparison) if several else _stages_caption(comparison), style="dim"),
        *(Text(remark, style="yellow") for remark in remarks),
    )


def _empty_table(comparison: Comparison, dataset: str, columns: Sequence[str]) -> Table:
    prompts = comparison.conditions["datasets"][dataset]
    table = Table(
        title=f"{dataset} ({prompts} prompts)",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    first, *others = columns
    table.add_column(first)  # the one column that may wrap: a log is 80 characters wide
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _arms_table(comparison: Comparison, dataset: str, full: bool) -> Table:
    columns = [
        "arm",
        "before",
        "after",
        "by RL",
        *(["against " + _reference(comparison)] if comparison.pairs else []),
    ]
    table = _empty_table(comparison, dataset, columns)
    if dataset in comparison.base:
        table.add_row("Original", f"{100 * comparison.base[dataset].accuracy.mean:.1f}")
    for rl in dict.fromkeys(arm.rl for arm in comparison.arms):
        table.add_section()
        for arm in comparison.arms:
            if arm.rl == rl:
                table.add_row(*_arm_cells(comparison, arm, dataset, full))
    return table


def _reference(comparison: Comparison) -> str:
    names = {pair.reference for pair in comparison.pairs}
    return names.pop() if len(names) == 1 else "reference"


def _arm_cells(comparison: Comparison, arm: Arm, dataset: str, full: bool) -> list[str]:
    figures = arm.datasets[dataset]
    runs = f" x{len(arm.seeds)}" if len(arm.seeds) > 1 else ""
    accuracies = [f"{100 * stage.accuracy.mean:.1f}" if stage else "" for stage in (figures.pre, figures.post)]
    by_rl = against = ""
    if figures.rl:
        by_rl = points(figures.rl.difference) + (f" {signed_interval(figures.rl.shown)}" if full else "")
    if pair := comparison.pair(arm, dataset):
        against = f"{points(pair.difference)} {signed_interval(pair.shown)} {'*' if pair.significant else ' '}"
    return [arm.name + runs, *accuracies, by_rl, *([against] if comparison.pairs else [])]


def _stages_table(comparison: Comparison, dataset: str) -> Table:
    table = _empty_table(comparison, dataset, ("model", "accuracy (%)", "change (points)", "p", "tokens", "cut"))
    for row in rows(comparison, dataset):
        if row.starts_arm:
            table.add_section()
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    figures, change = row.figures, row.change
    accuracy = f"{100 * figures.accuracy.mean:.1f} {interval(figures.accuracy)}"
    changed = f"{points(change.difference)} {signed_interval(change.difference)}" if change else ""
    p = p_value(change.difference.p) if change else ""
    return row.label, accuracy, changed, p, f"{figures.mean_tokens:.0f}", f"{100 * figures.truncated:.1f} %"


def _accuracy(comparison: Comparison) -> str:
    sampling = comparison.conditions["sampling"]
    return f"Accuracy: mean of {sampling['num_samples']} samples at temperature {sampling['temperature']:g}"


def _stages_caption(comparison: Comparison) -> str:
    return (
        f"{_accuracy(comparison)}. Change: in points, paired by prompt, against the row before of the same arm (after"
        " RL only: against Original). In brackets: 95 % intervals over prompts, of these checkpoints; p likewise. Cut:"
        " responses that reached the token limit."
    )


def _arms_caption(comparison: Comparison) -> str:
    over = (
        "over prompts"
        if comparison.one_seed
        else "over the runs of an arm that has several (x3: three), else over prompts"
    )
    star = f" *: significant (at least {MIN_RUNS} runs on each side, Holm's correction)." if comparison.pairs else ""
    how = "in %, before and after RL; changes in points"
    return f"{_accuracy(comparison)}, {how}. In brackets: 95 % intervals {over}.{star}"
