"""How many rows each filter left, for people and for `data.json`. Imports no torch."""

from typing import Any

from rich.table import Table


class Funnel:
    """Rows read, and rows dropped for each reason, in the order in which reasons are looked at."""

    def __init__(self, reasons: list[str]) -> None:
        self.read = 0
        self.dropped = dict.fromkeys(reasons, 0)

    def drop(self, reason: str, rows: int = 1) -> None:
        self.dropped[reason] += rows

    def steps(self) -> list[dict[str, Any]]:
        """For each reason the rows dropped and the rows left."""
        left, steps = self.read, []
        for reason, rows in self.dropped.items():
            left -= rows
            steps.append({"reason": reason, "dropped": rows, "left": left})
        return steps


def table(name: str, record: dict[str, Any]) -> Table:
    """The funnel of one data set from its record in `data.json`."""
    rows = Table("dropped because", "rows", "left", title=f"{name}: {record['source']}", title_justify="left", box=None)
    rows.columns[1].justify = rows.columns[2].justify = "right"
    rows.add_row("", "", f"{record['rows_read']:,}")
    for step in record["funnel"]:
        rows.add_row(step["reason"], f"{step['dropped']:,}", f"{step['left']:,}")
    if record.get("truncated"):
        rows.add_row("(truncated to data.cutoff_tokens)", f"{record['truncated']:,}", "")
    return rows
