"""report.html: report.md as one self-contained page with its plots."""

import base64
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from markdown_it import MarkdownIt


def page(markdown: str, plots: Sequence[Path]) -> str:
    """The complete document, without external resources."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for path in plots:
        data = base64.b64encode(path.read_bytes()).decode()
        body = body.replace(f'src="{path.name}"', f'src="data:image/png;base64,{data}"')
    title = escape(markdown.partition("\n")[0].removeprefix("# "))
    style = files(__package__).joinpath("page.css").read_text()
    head = f'<meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}</main></body></html>\n'
