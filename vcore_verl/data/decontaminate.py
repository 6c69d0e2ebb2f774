"""Finds training problems that duplicate another problem or occur in a benchmark. Imports no torch."""

import re
from collections.abc import Collection, Iterator

from reward import Domain
from reward.mathematics import MATHEMATICS
from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.data import templates
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import every_problem
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import OPEN_COPIES, mirror_folder

WORDS = 13  # overlap that counts as contamination, as for GPT-3 (Brown et al., 2020, appendix C)
_WORD = re.compile(r"\w+")


def chosen(recipe: Recipe) -> list[str]:
    """The benchmarks whose problems are excluded from training: `data.decontaminate`, by default the whole catalogue.

    The default has only one of BigMath's two copies, the one that RL uses: the user may lack access to the other.
    Raises `RecipeError` for an unknown name.
    """
    if recipe.data.decontaminate is None:
        other = "big_math" if recipe.data.rl in OPEN_COPIES.values() else "big_math_open"
        return [name for name in BENCHMARKS if name != other]
    if unknown := [name for name in recipe.data.decontaminate if name not in BENCHMARKS]:
        known = ", ".join(BENCHMARKS)
        raise RecipeError(f"data.decontaminate: {', '.join(unknown)} is not known; choose among {known}")
    return recipe.data.decontaminate


def problems(recipe: Recipe, names: list[str] | None = None) -> Iterator[list[str]]:
    """The bare questions of each benchmark in `names`, by default the chosen ones. Raises `DataError` if one is
    unavailable.
    """
    names = chosen(recipe) if names is None else names
    for name in names:
        try:
            found = every_problem(BENCHMARKS[name], mirror_folder(recipe.data.mirror))
        except DataError as error:
            others = ",".join(other for other in names if other != name)
            raise DataError(
                f"training leaves out the problems of {name}, and {error}; or do without: data.decontaminate=[{others}]"
            ) from error
        yield [templates.question_of(problem.prompt) for problem in found]


def word_runs(problem: str) -> Iterator[tuple[str, ...]]:
    """All runs of `WORDS` consecutive words, ignoring punctuation and operators."""
    words = _WORD.findall(problem.casefold())
    return (tuple(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1))


class EvaluationProblems:
    """The evaluation problems to exclude from training, compared as `domain` says."""

    def __init__(self, problems: Collection[str], domain: Domain = MATHEMATICS) -> None:
        self.domain = domain
        self.keys = {domain.question_key(problem) for problem in problems}
        self.runs = {run for problem in problems for run in word_runs(domain.narrative(problem))}

    def contains(self, problem: str) -> bool:
        return self.domain.question_key(problem) in self.keys

    def overlaps(self, problem: str) -> bool:
        """Whether `WORDS` consecutive words of the problem also occur in an evaluation problem."""
        return any(run in self.runs for run in word_runs(self.domain.narrative(problem)))
