"""Finds training problems that repeat another problem, or stand in an evaluation set. Imports no torch."""

import re
from collections.abc import Iterable, Iterator

WORDS = 13  # the overlap that GPT-3's authors took for contamination (Brown et al., 2020, appendix C)
_MARKUP = re.compile(r"\\[,;:! ]|\\left|\\right|[\s$~]+")
_WORD = re.compile(r"\w+")


def normalised(problem: str) -> str:
    """The problem without what typesetting varies: case, blanks, dollar signs, sizes of brackets and fractions.

    Operators and digits stay: problems that differ by a sign are different.
    """
    text = problem.casefold().replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return _MARKUP.sub("", text).rstrip(".?!")


def word_runs(problem: str) -> Iterator[tuple[str, ...]]:
    """All runs of `WORDS` consecutive words, punctuation and operators left out."""
    words = _WORD.findall(problem.casefold())
    return (tuple(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1))


class EvaluationProblems:
    """What training must not have seen."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.texts: set[str] = set()
        self.runs: set[tuple[str, ...]] = set()
        for problem in problems:
            self.texts.add(normalised(problem))
            self.runs.update(word_runs(problem))

    def contains(self, problem: str) -> bool:
        return normalised(problem) in self.texts

    def overlaps(self, problem: str) -> bool:
        """Whether `WORDS` consecutive words of the problem also stand in an evaluation problem."""
        return any(run in self.runs for run in word_runs(problem))
