"""report.md."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vcore_verl.report.document import CAPTIONS, Section, sections, title
from vcore_verl.report.numbers import Comparison
from vcore_verl.report.tables import Table
from vcore_verl.report.wording import answer


def markdown(comparison: Comparison, plots: Sequence[Path]) -> str:
    """The whole report; `plots` lie beside it."""
    parts = [f"# {title(comparison)}", answer(comparison)]
    for section in sections(comparison, plots):
        parts += [f"## {section.title}", *_content(section)]
    return "\n\n".join(parts) + "\n"


def _content(section: Section) -> Iterator[str]:
    if section.table:
        yield _table(section.table)
        yield from filter(None, [section.table.note])
    if section.text:
        yield section.text
    for path in section.plots:
        yield f"![{CAPTIONS[path.stem]}]({path.name})\n\n*{CAPTIONS[path.stem]}.*"
    if section.items:
        yield "\n".join(f"- {item}" for item in section.items)
    if section.code:
        yield "\n".join(["```", *section.code, "```"])


def _table(table: Table) -> str:
    rows = [table.header, ["---", *["--:"] * (len(table.header) - 1)], *table.lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
