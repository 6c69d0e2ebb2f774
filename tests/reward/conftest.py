from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Pair(NamedTuple):
    gold: str
    answer: str
    equal: bool
    difference: str  # why math_verify decides otherwise; "" where it agrees

    @property
    def response(self) -> str:
        """The answer in a box, unless it brings boxes of its own."""
        return self.answer if self.answer.startswith(r"\boxed") else rf"\boxed{{{self.answer}}}"


def read_agreement() -> list[Pair]:
    pairs, gold = [], ""
    for line in (Path(__file__).parent / "mathematics/agreement.txt").read_text().splitlines():
        mark, _, text = line.partition(" ")
        if mark == "=":
            gold = text
        elif mark and mark != "#":
            pairs.append(Pair(gold, text, mark[0] == "+", mark[1:]))
    return pairs


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def agreement() -> list[Pair]:
    return read_agreement()
