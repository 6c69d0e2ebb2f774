"""Filter counts: why rows were dropped and how many each check left, for terminal and `data.json`. Imports no torch."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Check:
    """A row, or the example made from it, is dropped for `reason` if the check `rejects` it."""

    reason: str
    rejects: Callable[[Any], bool]


class Funnel:
    """Rows read, and rows dropped for each reason, in the order of the checks."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.read = 0
        self.dropped = dict.fromkeys(reasons, 0)

    def passes(self, item: Any, checks: Iterable[Check]) -> bool:
        """Whether `item` passes all checks; if not, count it as dropped by the first that rejects it."""
        failed = next((check for check in checks if check.rejects(item)), None)
        if failed is not None:
            self.dropped[failed.reason] += 1
        return failed is None

    def steps(self) -> list[dict[str, Any]]:
        """For each reason, the rows dropped and the rows left."""
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
