"""A table as text cells, for all output formats."""

from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """`note` explains what the header cannot; `groups` are the indices of lines that begin a group."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    note: str = ""
    groups: Sequence[int] = ()
