"""The parsed form of an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from reward.mathematics.normalise import compact

Kind = Literal[
    "expression", "text", "opaque", "list", "set", "tuple", "interval", "union", "matrix", "assignment", "relation"
]


class Unreadable(Exception):
    """The answer's brackets do not balance, or nest too deep."""


@dataclass(frozen=True)
class Answer:
    r"""A parsed answer.

    text: `expression` the LaTeX; `text` its key; `opaque` the key of notation that is only compared verbatim;
    `interval` its brackets; `assignment` the name on the left; `relation` its operator (`=`, `<`, `\le`).
    parts: the items; for `assignment` the value; for `interval` and `relation` the two sides; for `matrix` the rows.
    """

    kind: Kind
    text: str = ""
    parts: tuple["Answer", ...] = ()
    unit: str = ""

    @property
    def named(self) -> bool:
        """Whether all parts are named values: `x=1, y=2`."""
        return len(self.parts) > 1 and all(part.kind == "assignment" for part in self.parts)


Parse = Callable[[str], Answer]


def opaque(text: str) -> Answer:
    return Answer("opaque", compact(text))
