"""The report as a terminal shows it."""

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vcore_verl.report.compare import Comparison
from vcore_verl.report.rows import HEADER, rows
from vcore_verl.report.wording import answer


def terminal_report(comparison: Comparison) -> RenderableType:
    """The answer in two sentences and a table per data set."""
    excluded = [Text(f"left out: {item.name}: {item.reason}", style="yellow") for item in comparison.excluded]
    tables = [Padding(_table(comparison, name), (1, 0, 0, 0)) for name in comparison.datasets]
    return Group(Text(answer(comparison)), *tables, Text(_caption(comparison), style="dim"), *excluded)


def _table(comparison: Comparison, dataset: str) -> Table:
    prompts = comparison.conditions["datasets"][dataset]
    table = Table(title=f"{dataset} ({prompts} prompts)", title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for position, name in enumerate(HEADER):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=True)
    for row in rows(comparison, dataset):
        if row.starts_arm:
            table.add_section()
        table.add_row(*row.cells())
    return table


def _caption(comparison: Comparison) -> str:
    sampling = comparison.conditions["sampling"]
    return (
        f"Accuracy: mean of {sampling['num_samples']} samples at temperature {sampling['temperature']:g}. Change: in"
        " points, paired by prompt, against the row before of the same arm (after RL only: against Original)."
    )
