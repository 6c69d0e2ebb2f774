"""report.html: report.md as one self-contained page, its plots included."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from vcore_verl.report.document import CAPTIONS, Section, sections, title
from vcore_verl.report.numbers import Comparison
from vcore_verl.report.tables import Table
from vcore_verl.report.wording import answer


def page(comparison: Comparison, plots: Sequence[Path]) -> str:
    """The whole document; it loads nothing from elsewhere."""
    name, style = escape(title(comparison)), files(__package__).joinpath("page.css").read_text()
    body = [f"<h1>{name}</h1>", f'<p class="answer">{escape(answer(comparison))}</p>']
    for section in sections(comparison, plots):
        body += [f"<section><h2>{escape(section.title)}</h2>", *_content(section), "</section>"]
    head = f'<meta charset="utf-8"><title>{name}</title><style>{style}</style>'
    main = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{main}\n</main></body></html>\n'


def _content(section: Section) -> Iterator[str]:
    if section.table:
        yield _table(section.table)
    for text in filter(None, (section.table and section.table.note, section.text)):
        yield f"<p>{escape(text)}</p>"
    for path in section.plots:
        caption, data = escape(CAPTIONS[path.stem]), base64.b64encode(path.read_bytes()).decode()
        picture = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
        yield f"<figure>{picture}<figcaption>{caption}.</figcaption></figure>"
    if section.items:
        yield f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in section.items)}</ul>"
    if section.code:
        yield f"<pre>{escape(chr(10).join(section.code))}</pre>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = ("".join(f"<td>{escape(cell.strip('`'))}</td>" for cell in line) for line in table.lines)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
