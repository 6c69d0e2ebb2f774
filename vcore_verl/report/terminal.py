"""The report as a terminal shows it."""

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vcore_verl.report.compare import Comparison
from vcore_verl.report.rows import Row, rows
from vcore_verl.report.wording import answer, interval, p_value, points, signed_interval


def terminal_report(comparison: Comparison) -> RenderableType:
    """The answer in two sentences and a table per data set."""
    excluded = [Text(f"left out: {item.name}: {item.reason}", style="yellow") for item in comparison.excluded]
    tables = [Padding(_table(comparison, name), (1, 0, 0, 0)) for name in comparison.datasets]
    return Group(Text(answer(comparison)), *tables, Text(_caption(comparison), style="dim"), *excluded)


def _table(comparison: Comparison, dataset: str) -> Table:
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
    table.add_column("model")  # the one column that may wrap: a log is 80 characters wide
    for name in ("accuracy (%)", "change (points)", "p", "tokens", "cut"):
        table.add_column(name, justify="right", no_wrap=True)
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


def _caption(comparison: Comparison) -> str:
    sampling = comparison.conditions["sampling"]
    return (
        f"Accuracy: mean of {sampling['num_samples']} samples at temperature {sampling['temperature']:g}. Change: in"
        " points, paired by prompt, against the row before of the same arm (after RL only: against Original). In"
        " brackets: 95 % intervals over prompts. Cut: responses that reached the token limit."
    )
