"""The report in a terminal: the summary and the main tables."""

import rich.table
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from vcore_verl.report.numbers import Comparison
from vcore_verl.report.tables import Table, main_table
from vcore_verl.report.tuning import tuning_table
from vcore_verl.report.weights import weights_table
from vcore_verl.report.wording import answer, reading_notes, titles


def terminal_report(comparison: Comparison) -> RenderableType:
    """The summary, a table per data set, and warnings."""
    tables = [rich_table(title, main_table(comparison, name)) for name, title in titles(comparison).items()]
    if (found := weights_table({arm.name: arm.weights for arm in comparison.arms})).lines:
        tables.append(rich_table("token weights", found))
    if comparison.tuning:
        tables.append(rich_table("Tuned settings", tuning_table(comparison.tuning)))
    remarks = [f"excluded: {name}: {reason}" for name, reason in comparison.excluded.items()]
    remarks += [f"trained with other settings: {line}" for line in comparison.trained_differently]
    return Group(
        Text("\n\n".join(answer(comparison))),
        *tables,
        Text(reading_notes(comparison), style="dim"),
        *(Text(remark, style="yellow") for remark in remarks + comparison.contamination + comparison.unjudged),
    )


def rich_table(title: str, table: Table) -> RenderableType:
    """`table` with its title, preceded by an empty line, and its note."""
    found = rich.table.Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for position, name in enumerate(table.header):
        found.add_column(name, justify="right" if position else "left", overflow="fold")
    for number, line in enumerate(table.lines):
        if number in table.groups:
            found.add_section()
        found.add_row(*line)
    note = [Text(table.note, style="dim")] if table.note else []
    return Group(Padding(found, (1, 0, 0, 0)), *note)
