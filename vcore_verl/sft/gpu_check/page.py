"""The results of the check as terminal tables. Imports no torch."""

from collections.abc import Sequence

from rich.table import Table

from vcore_verl.sft.gpu_check.record import Check, Step

GIB = 2**30


def checks_table(checks: Sequence[Check]) -> Table:
    """Every measured value with its limit."""
    table = _table("check", "found", "limit", "")
    for check in checks:
        limit = f"at {'least' if check.at_least else 'most'} {check.limit:g}"
        mark = "[green]ok[/green]" if check.passed else "[red]failed[/red]"
        table.add_row(f"{check.part}, {check.name}", f"{check.found:.4f}", limit, mark)
    return table


def steps_table(steps: Sequence[Step]) -> Table:
    """One row per kind of step, three columns per batch size: milliseconds, peak GiB, ratio to SFT."""
    sizes = list(dict.fromkeys(step.tokens for step in steps))
    columns = [column for tokens in sizes for column in (f"{tokens:,} tokens: ms", "GiB", "x SFT")]
    table = _table("step", *columns)
    for probe in dict.fromkeys(step.probe for step in steps):
        row = {step.tokens: step for step in steps if step.probe == probe}
        alone = {step.tokens: step.seconds for step in steps if step.probe is None}
        cells = [cell for tokens in sizes for cell in _cells(row.get(tokens), alone.get(tokens))]
        table.add_row("SFT" if probe is None else f"  probe: {probe}", *cells)
    return table


def _cells(step: Step | None, alone: float | None) -> tuple[str, str, str]:
    if step is None or step.seconds is None:
        return ("no room" if step else "-"), "-", "-"
    memory = "-" if step.peak_bytes is None else f"{step.peak_bytes / GIB:.1f}"
    return f"{1000 * step.seconds:.0f}", memory, f"{step.seconds / alone:.2f}" if alone else "-"


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    return table
