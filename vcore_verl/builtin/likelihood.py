"""The exact log-probability of each word of a laboratory trace under the mixture that wrote it. Imports no torch.

What a word leaves open about the trace's form is carried to the next: a right operand may still be a false start, and
whether the trace is careful shows at its first `#`.
"""

import math
from collections.abc import Iterator

from vcore_verl.builtin.laboratory import BOX, CLOSE, FILLERS, MODULUS, NOISY, ONE_MORE, Mixture, apply


def log_probs(question: str, response: str, mixture: Mixture = NOISY) -> list[float]:
    """log p(word | question, words before) in nats of each word of `response`, then that of its end, 0.

    Raises ValueError for a response that the mixture cannot write.
    """
    reader = _Reader(response.split(), mixture)
    first, *rest = question.split()[:-1]
    steps = [(symbol, int(operand)) for symbol, operand in zip(rest[::2], rest[1::2], strict=True)]
    answer = value = int(first)
    for symbol, operand in steps:
        answer = apply(answer, symbol, operand)
    if reader.maybe("guess", mixture.leak):
        reader.certain(answer)
    for symbol, operand in steps:
        value = reader.step(value, symbol, operand)
    reader.certain(BOX, answer, CLOSE)
    if reader.ahead is not None:
        raise ValueError("the trace goes on after its answer")
    return [*reader.found, 0.0]


class _Reader:
    """Reads a trace word by word. `open` is the probability of what the words so far have not decided, and the next
    word does: it multiplies that word's own.
    """

    def __init__(self, words: list[str], mixture: Mixture) -> None:
        self.words: Iterator[str | None] = iter(words)
        self.ahead = next(self.words, None)
        self.mixture, self.careful, self.open = mixture, mixture.careful, 1.0
        self.found: list[float] = []

    def take(self, probability: float) -> str:
        """The next word, which has this probability."""
        word, total = self.ahead, self.open * probability
        if word is None or total <= 0:
            raise ValueError(f"word {len(self.found) + 1} of the trace, {word}, has probability 0")
        self.found.append(math.log(total))
        self.ahead, self.open = next(self.words, None), 1.0
        return word

    def certain(self, *expected: int | str) -> None:
        for word in expected:
            self.take(float(self.ahead == str(word)))

    def maybe(self, word: str, rate: float) -> bool:
        """Whether the optional `word`, written with probability `rate`, comes next."""
        if self.ahead == word:
            self.take(rate)
            return True
        self.open *= 1 - rate
        return False

    def step(self, value: int, symbol: str, operand: int) -> int:
        """One operation, with the filler before it and the confirmation after it; its result."""
        right, mixture = apply(value, symbol, operand), self.mixture
        while self.ahead in FILLERS:
            self.take(mixture.filler / len(FILLERS))
        self.open *= 1 - mixture.filler
        self.certain(value, symbol)
        self.operand(value, symbol, operand)
        written = self.result(value, symbol, operand, right)
        if written != right:
            self.certain("no", value, symbol, operand)
            self.result(value, symbol, operand, right, retracted=True)
        self.maybe("ok", mixture.ok)
        return right

    def operand(self, value: int, symbol: str, operand: int) -> None:
        """The operand, after a false start or at once."""
        false_start = self.mixture.false_start / MODULUS
        if self.ahead != str(operand):
            self.take(false_start)
        else:
            right = 1 - self.mixture.false_start
            self.take(right + false_start)
            if not self.maybe("no", false_start / (right + false_start)):
                return
            self.certain(value, symbol, operand)
            return
        self.certain("no", value, symbol, operand)

    def result(self, value: int, symbol: str, operand: int, right: int, retracted: bool = False) -> int:
        """The rest of a line after its operand; its result, which is right after a retracted one."""
        if symbol == "#":
            careful = self.ahead == ":"
            self.take(self.careful if careful else float(self.ahead == "=") * (1 - self.careful))
            self.careful = float(careful)
            if careful:
                self.certain(value, "+", value, "=", 2 * value % MODULUS, "+", operand, "=")
        else:
            self.certain("=")
        if retracted:
            self.certain(right)
            return right
        if self.ahead == str(right):
            self.take(1 - self.mixture.mistake)
            return right
        slip = (1 - ONE_MORE) / (MODULUS - 1) + ONE_MORE * (self.ahead == str((right + 1) % MODULUS))
        return int(self.take(self.mixture.mistake * slip))
