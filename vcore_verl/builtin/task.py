"""The interface of a built-in task: problems and worked solutions, with a known kind for every part of the text.

Imports no torch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Protocol

from vcore_verl.data.splits import bucket

# Buckets of the question: shares in percent, splits disjoint by construction.
SPLITS = {"pretrain": range(0, 50), "sft": range(50, 70), "rl": range(70, 85), "test": range(85, 100)}


@dataclass(frozen=True)
class Span:
    """Characters [start, end) of a response, all of one `kind` (see `vcore_verl.objectives.kinds`)."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Trace:
    """A response and the kinds of its parts, which cover it without gap or overlap."""

    text: str
    spans: tuple[Span, ...]


def split_of(question: str) -> str:
    """The split that a problem with this question belongs to."""
    return next(name for name, buckets in SPLITS.items() if bucket(question) in buckets)


def joined(parts: Sequence[tuple[str, str]]) -> Trace:
    """Concatenate `parts`, pairs of text and kind, to a response."""
    ends = accumulate(len(text) for text, _ in parts)
    spans = (Span(end - len(text), end, kind) for (text, kind), end in zip(parts, ends, strict=True))
    return Trace("".join(text for text, _ in parts), tuple(spans))


class Problem(Protocol):
    @property
    def question(self) -> str: ...

    def ground_truth(self, tests: Path) -> str:
        """What the reward compares a response with; a folder `tests` is there for what does not fit into a row."""
        ...


class Task(Protocol):
    """`data_source` selects the grader. `words` are the tokens besides those of the chat template; if empty, every byte
    is a token.
    """

    @property
    def data_source(self) -> str: ...

    @property
    def words(self) -> tuple[str, ...]: ...

    def pretraining(self, steps: int, batch_size: int, rng: Random) -> Iterator[Iterable[tuple[Any, Trace]]]:
        """A batch of problems and their traces for each step of pretraining."""
        ...

    def draw(self, name: str, count: int, rng: Random) -> Sequence[Problem]:
        """`count` problems of "sft", "rl" or an evaluation set; these sets share no problem."""
        ...

    def solve(self, problem: Any, rng: Random) -> Trace:
        """A supervised trace, of the quality found in SFT data."""
        ...
