"""The laboratory: arithmetic modulo 11, with one operation that can be done in two ways.

Its purpose is to distinguish SFT objectives as initializations for RL.

A problem is a chain of operations on the numbers 0 to 10, such as `9 + 7 # 10 ?`, where a # b = 2a + b. A `#` can be
done at once, `c # x = v`, which takes 121 memorised facts and is unreliable, or worked out, `c # x : c + c = u + x =
v`, which takes additions that the base model knows. Every word, numbers included, is one token, so that no accuracy is
lost on digits.

Supervised traces contain leaked answers, filler and slips, but every slip is retracted: all end in the right answer.
RL learns to choose between the two ways by itself; what it cannot undo in a few steps is the probability that SFT gave
to the noise.

There are two regimes, since the way an objective treats improbable tokens helps if they are noise and harms if they
are new. In the familiar regime the base model has seen `#`; in the new one it has not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from vcore_verl.builtin.task import Trace, joined, split_of

MODULUS = 11
FILLERS = ("hmm", "so", "well", "wait", "now", "see", "then", "right")
BOX, CLOSE = "\\boxed{", "}"


@dataclass(frozen=True)
class Chains:
    """A set of problems: range of the number of operations, inclusive; each is a `#` with probability `hashes`.

    If `hashes` is positive, at least one operation is a `#`; the others are `+` or `-`.
    """

    operations: tuple[int, int]
    hashes: float


IN_DOMAIN = Chains((2, 4), hashes=0.5)
OUT_OF_DOMAIN = Chains((5, 6), hashes=0.25)
KEPT = Chains((5, 6), hashes=0.0)  # skills that the base model has before SFT
PLAIN = Chains((1, 6), hashes=0.0)
FIRST_HASHES = Chains((1, 2), hashes=0.7)
# Without plain chains SFT and RL would unlearn the longer ones, and forgetting would mask all other effects.
TRAINING = {IN_DOMAIN: 0.7, PLAIN: 0.3}
TESTS = {"in_domain": IN_DOMAIN, "out_of_domain": OUT_OF_DOMAIN, "kept": KEPT}


@dataclass(frozen=True)
class Problem:
    """`first`, then operations on it from left to right: symbol and operand."""

    first: int
    steps: tuple[tuple[str, int], ...]

    @property
    def question(self) -> str:
        return " ".join([str(self.first), *(f"{symbol} {operand}" for symbol, operand in self.steps), "?"])

    @property
    def answer(self) -> int:
        value = self.first
        for symbol, operand in self.steps:
            value = apply(value, symbol, operand)
        return value

    def ground_truth(self, tests: Path) -> str:
        return str(self.answer)

    @property
    def split(self) -> str:
        return split_of(self.question)


@dataclass(frozen=True)
class Mixture:
    """How traces are written; rates are probabilities in [0, 1].

    careful: share of traces that work out every `#`; the others do it at once. leak: share that begin with the answer.
    Per line: filler, another word before it; false_start, a wrong operand that is retracted; mistake, a wrong value
    that is retracted; ok, a confirmation after it.
    """

    careful: float
    leak: float
    filler: float
    false_start: float
    mistake: float
    ok: float


CLEAN = Mixture(careful=0.5, leak=0.0, filler=0.05, false_start=0.02, mistake=0.03, ok=0.2)
NOISY = Mixture(careful=0.7, leak=0.3, filler=0.3, false_start=0.08, mistake=0.25, ok=0.3)
ONE_MORE = 0.7  # share of mistakes that are one too high: a systematic slip


@dataclass(frozen=True)
class Laboratory:
    """A regime: the problems of pretraining with their shares, and how SFT traces are written."""

    pretrained: Mapping[Chains, float]
    supervised: Mixture
    data_source: str = "vcore/laboratory"
    words: tuple[str, ...] = (
        *map(str, range(MODULUS)),
        *("+", "-", "#", "=", ":", "?", "guess", "ok", "no"),
        *(BOX, CLOSE),
        *FILLERS,
    )

    def pretraining(self, steps: int, batch_size: int, rng: Random) -> Iterator[list[tuple[Problem, Trace]]]:
        """Nearly clean traces of problems that may repeat."""
        stream = problems(self.pretrained, "pretrain", rng)
        for _ in range(steps):
            yield [(problem, solve(problem, CLEAN, rng)) for problem in islice(stream, batch_size)]

    def draw(self, name: str, count: int, rng: Random) -> list[Problem]:
        """Problems of a training set, which may repeat, or distinct ones of an evaluation set."""
        if name not in TESTS:
            return list(islice(problems(TRAINING, name, rng), count))
        stream, distinct = problems({TESTS[name]: 1.0}, "test", rng), dict[Problem, None]()
        while len(distinct) < count:
            distinct[next(stream)] = None
        return list(distinct)

    def solve(self, problem: Problem, rng: Random) -> Trace:
        return solve(problem, self.supervised, rng)


FAMILIAR = Laboratory({PLAIN: 0.85, FIRST_HASHES: 0.15}, NOISY)
NEW = Laboratory({PLAIN: 1.0}, NOISY)


def apply(value: int, symbol: str, operand: int) -> int:
    """The operation modulo 11; `#` doubles the value before it adds."""
    return {"+": value + operand, "-": value - operand, "#": 2 * value + operand}[symbol] % MODULUS


def problems(shares: Mapping[Chains, float], split: str, rng: Random) -> Iterator[Problem]:
    """An endless stream of problems of `split`; each draws its kind of chain with the probabilities in `shares`."""
    while True:
        (chains,) = rng.choices(list(shares), list(shares.values()))
        problem = _draw(chains, rng)
        while problem.split != split:
            problem = _draw(chains, rng)
        yield problem


def solve(problem: Problem, mixture: Mixture, rng: Random) -> Trace:
    """A response to `problem`, its form and errors drawn from `mixture`."""
    writer = _Writer(careful=rng.random() < mixture.careful)
    if rng.random() < mixture.leak:
        writer.add("leak", "guess", problem.answer)
    value = problem.first
    for symbol, operand in problem.steps:
        while rng.random() < mixture.filler:
            writer.add("filler", rng.choice(FILLERS))
        if rng.random() < mixture.false_start:
            writer.add("step", value, symbol)
            writer.add("false_start", rng.randrange(MODULUS))
            writer.add("verify", "no")
        right = apply(value, symbol, operand)
        if rng.random() < mixture.mistake:
            writer.line(value, symbol, operand, _slip(right, rng), "mistake")
            writer.add("verify", "no")
        writer.line(value, symbol, operand, right, "value")
        if rng.random() < mixture.ok:
            writer.add("verify", "ok")
        value = right
    writer.add("step", BOX)
    writer.add("answer", value, CLOSE)
    return joined(writer.parts)


class _Writer:
    """Collects the parts of a trace, which works out its `#` if `careful`."""

    def __init__(self, careful: bool) -> None:
        self.careful = careful
        self.parts: list[tuple[str, str]] = []

    def add(self, kind: str, *words: int | str) -> None:
        """Words are separated by a space, which belongs to the word after it, as in most tokenizers."""
        self.parts.append((" " * bool(self.parts) + " ".join(map(str, words)), kind))

    def line(self, value: int, symbol: str, operand: int, result: int, kind: str) -> None:
        """One operation; `kind` is the kind of its result, "value" or "mistake"."""
        self.add("step", value, symbol, operand)
        if symbol == "#" and self.careful:
            self.add("choice_careful", ":")
            self.add("step", value, "+", value, "=")
            self.add("value", 2 * value % MODULUS)
            self.add("step", "+", operand, "=")
        else:
            self.add("choice_hasty" if symbol == "#" else "step", "=")
        unreliable = symbol == "#" and not self.careful and kind == "value"
        self.add("hasty" if unreliable else kind, result)


def _draw(chains: Chains, rng: Random) -> Problem:
    while True:
        symbols: Sequence[str] = [
            "#" if rng.random() < chains.hashes else rng.choice("+-") for _ in range(rng.randint(*chains.operations))
        ]
        if "#" in symbols or chains.hashes == 0:
            return Problem(rng.randrange(MODULUS), tuple((symbol, rng.randrange(MODULUS)) for symbol in symbols))


def _slip(right: int, rng: Random) -> int:
    if rng.random() < ONE_MORE:
        return (right + 1) % MODULUS
    return rng.choice([value for value in range(MODULUS) if value != right])
