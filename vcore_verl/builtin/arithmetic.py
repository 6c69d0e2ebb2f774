"""The built-in task: chains of integer additions and subtractions, with worked solutions of very mixed quality.

A problem is a string such as `23+9-14+7=?`; a response is `<think>...</think>\\boxed{25}`. Everything is determined by
a seed.

Two properties make the task suitable for comparing initializations:
- There are several ways of answering, with different accuracies for a small model (`Mixture`). Reinforcement learning
chooses between modes that a policy already has; it does not repair arithmetic slips within a few dozen steps.
- Supervised traces resemble long chain-of-thought data: good steps, filler, false starts that are corrected, mistakes
that are not. The kind of every part of the text is known (`task.Span`), which shows where an objective puts its
weight.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from vcore_verl.builtin.task import Trace, joined, split_of

FILLERS = ("ok\n", "hmm\n", "so\n", "let me see\n")


@dataclass(frozen=True)
class Range:
    """A set of problems, given by the number of operations and the size of operands, both ranges inclusive."""

    operations: tuple[int, int]
    operands: tuple[int, int]


IN_DOMAIN = Range(operations=(2, 4), operands=(1, 20))
LONGER_CHAINS = Range(operations=(5, 6), operands=(1, 20))
LARGER_NUMBERS = Range(operations=(2, 4), operands=(21, 40))
# SFT and RL stay in domain; a base model that had never seen the rest would score 0 on it before and after.
PRETRAINING_SHARES = {IN_DOMAIN: 0.7, LONGER_CHAINS: 0.15, LARGER_NUMBERS: 0.15}
TESTS = {"in_domain": (IN_DOMAIN,), "out_of_domain": (LONGER_CHAINS, LARGER_NUMBERS)}


@dataclass(frozen=True)
class Problem:
    """`first` followed by signed `terms`; the value is their sum."""

    first: int
    terms: tuple[int, ...]

    @property
    def question(self) -> str:
        return f"{self.first}{_signed(self.terms)}=?"

    @property
    def answer(self) -> int:
        return self.first + sum(self.terms)

    def ground_truth(self, tests: Path) -> str:
        return str(self.answer)

    @property
    def split(self) -> str:
        return split_of(self.question)


@dataclass(frozen=True)
class Mixture:
    """How supervised traces are written; rates are probabilities in [0, 1].

    direct: share of traces that answer at once; hasty: share with two operations per line instead of one. filler: per
    line. false_start: per line, a wrong value that is retracted at once. mistake: per trace, one wrong value that
    propagates to the answer.
    """

    direct: float
    hasty: float
    filler: float
    false_start: float
    mistake: float


# The base model first learns to work problems out, which takes most of the steps, and then to prefer answering at once.
LEARNING = Mixture(direct=0.1, hasty=0.05, filler=0.05, false_start=0.03, mistake=0.0)
HABIT = Mixture(direct=0.7, hasty=0.05, filler=0.05, false_start=0.03, mistake=0.0)
HABIT_BEGINS = 0.75  # fraction of the pretraining steps
# What a teacher's unedited traces look like: mostly worked, often wordy, sometimes wrong.
SUPERVISED = Mixture(direct=0.2, hasty=0.1, filler=0.15, false_start=0.05, mistake=0.05)


class Arithmetic:
    """Implements `task.Task`."""

    data_source = "vcore/arithmetic"
    words = ()

    def pretraining(self, steps: int, batch_size: int, rng: Random) -> Iterator[list[tuple[Problem, Trace]]]:
        """Distinct problems, mostly worked out at first and mostly answered at once from `HABIT_BEGINS` on."""
        streams = {span: problems(span, "pretrain", rng) for span in PRETRAINING_SHARES}
        shares = list(PRETRAINING_SHARES.values())
        for step in range(steps):
            batch = [next(stream) for stream in rng.choices(list(streams.values()), shares, k=batch_size)]
            mixture = LEARNING if step < HABIT_BEGINS * steps else HABIT
            yield [(problem, solve(problem, mixture, rng)) for problem in batch]

    def draw(self, name: str, count: int, rng: Random) -> list[Problem]:
        """Distinct problems, taken in turn from each range of the set."""
        spans = TESTS.get(name, (IN_DOMAIN,))
        streams = [problems(span, "test" if name in TESTS else name, rng) for span in spans]
        return [next(streams[index % len(streams)]) for index in range(count)]

    def solve(self, problem: Problem, rng: Random) -> Trace:
        return solve(problem, SUPERVISED, rng)


def problems(span: Range, split: str, rng: Random) -> Iterator[Problem]:
    """An endless stream of distinct problems of `span` in `split`; all partial sums are in [0, 99]."""
    seen: set[str] = set()
    while True:
        problem = _draw(span, rng)
        if problem.split == split and problem.question not in seen:
            seen.add(problem.question)
            yield problem


def solve(problem: Problem, mixture: Mixture, rng: Random) -> Trace:
    """A supervised trace for `problem`, its form and errors drawn from `mixture`."""
    lines = _lines(problem.terms, mixture, rng)
    wrong_line = rng.randrange(len(lines)) if lines and rng.random() < mixture.mistake else None
    parts = [("<think>", "markup")]
    value = problem.first
    for index, terms in enumerate(lines):
        expression = f"{value}{_signed(terms)}="
        if rng.random() < mixture.filler:
            parts.append((rng.choice(FILLERS), "filler"))
        value += sum(terms)
        if rng.random() < mixture.false_start:
            parts.append((f"{expression}{_slip(value, rng)} no\n", "false_start"))
        if index == wrong_line:
            value = _slip(value, rng)
        parts.append((f"{expression}{value}\n", "mistake" if index == wrong_line else "step"))
    answer = value if lines else problem.answer
    parts += [("</think>", "markup"), (f"\\boxed{{{answer}}}", "answer")]
    return joined(parts)


def _draw(span: Range, rng: Random) -> Problem:
    first = total = rng.randint(*span.operands)
    terms: list[int] = []
    for _ in range(rng.randint(*span.operations)):
        operand = rng.randint(*span.operands)
        sign = rng.choice([sign for sign in (1, -1) if 0 <= total + sign * operand < 100])
        terms.append(sign * operand)
        total += terms[-1]
    return Problem(first, tuple(terms))


def _lines(terms: tuple[int, ...], mixture: Mixture, rng: Random) -> list[tuple[int, ...]]:
    """The terms of each line of a worked solution; empty if the answer is given at once."""
    draw = rng.random()
    if draw < mixture.direct:
        return []
    width = 2 if draw < mixture.direct + mixture.hasty else 1
    return [terms[start : start + width] for start in range(0, len(terms), width)]


def _signed(terms: tuple[int, ...]) -> str:
    return "".join(f"{term:+d}" for term in terms)


def _slip(value: int, rng: Random) -> int:
    """A wrong value as a careless solver would write it: off by one, two or ten."""
    return rng.choice([wrong for offset in (-10, -2, -1, 1, 2, 10) if (wrong := value + offset) >= 0])
