"""What a built-in task is: problems and worked solutions, in which the kind of every stretch of text is known.

Imports no torch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any, Protocol


@dataclass(frozen=True)
class Span:
    """Characters [start, end) of a response are of one kind, of `vcore_verl.objectives.kinds`."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Trace:
    """A response and the kinds of its parts, which cover it without gap or overlap."""

    text: str
    spans: tuple[Span, ...]


def joined(parts: Sequence[tuple[str, str]]) -> Trace:
    """The response that consists of `parts`: text and its kind."""
    ends = accumulate(len(text) for text, _ in parts)
    spans = (Span(end - len(text), end, kind) for (text, kind), end in zip(parts, ends, strict=True))
    return Trace("".join(text for text, _ in parts), tuple(spans))


class Problem(Protocol):
    @property
    def question(self) -> str: ...

    @property
    def answer(self) -> int: ...


class Task(Protocol):
    """`data_source` chooses the grader. `words` are the tokens beside the chat template's; where there are none, a
    token is a byte.
    """

    @property
    def data_source(self) -> str: ...

    @property
    def words(self) -> tuple[str, ...]: ...

    def pretraining(self, steps: int, batch_size: int, rng: Random) -> Iterator[Iterable[tuple[Any, Trace]]]:
        """A batch of problems and their traces for each step of pretraining."""
        ...

    def draw(self, name: str, count: int, rng: Random) -> Sequence[Problem]:
        """`count` problems of "sft", "rl" or an evaluation set; no two of these share a problem."""
        ...

    def solve(self, problem: Any, rng: Random) -> Trace:
        """A supervised trace, of the quality that SFT has to do with."""
        ...
