"""The report as a terminal shows it: the summary and the main tables."""

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vcore_verl.report.numbers import Comparison
from vcore_verl.report.tables import main_table
from vcore_verl.report.wording import answer, reading_notes


def terminal_report(comparison: Comparison) -> RenderableType:
    """The summary and a table per data set."""
    remarks = [f"excluded: {item.name}: {item.reason}" for item in comparison.excluded]
    remarks += [f"trained with other settings: {line}" for line in comparison.trained_differently]
    remarks += comparison.contamination
    return Group(
        Text(answer(comparison)),
        *(Padding(_table(comparison, name), (1, 0, 0, 0)) for name in comparison.datasets),
        Text(reading_notes(comparison), style="dim"),
        *(Text(remark, style="yellow") for remark in remarks),
    )


def _table(comparison: Comparison, dataset: str) -> Table:
    main = main_table(comparison, dataset)
    table = Table(
        title=f"{dataset} ({comparison.conditions['datasets'][dataset]} prompts)",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for position, name in enumerate(main.header):
        table.add_column(name, justify="right" if position else "left")
    for number, line in enumerate(main.lines):
        if number in main.groups:
            table.add_section()
        table.add_row(*line)
    return table
