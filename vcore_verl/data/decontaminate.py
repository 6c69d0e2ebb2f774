"""The benchmarks whose problems training leaves out. Imports no torch."""

from collections.abc import Iterable, Iterator

from reward.mathematics import MATHEMATICS
from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import evaluated
from vcore_verl.data.evaluated import Evaluated
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import OPEN_COPIES, mirror_folder
from vcore_verl.data.sources import known, named


def chosen(recipe: Recipe) -> list[str]:
    """The benchmarks whose problems are excluded from training: `data.decontaminate`, by default all of the domains of
    the training data.

    The default has only one of BigMath's two copies, the one that RL uses: the user may lack access to the other.
    Raises `RecipeError` for an unknown name.
    """
    if recipe.data.decontaminate is None:
        other = "big_math" if recipe.data.rl in OPEN_COPIES.values() else "big_math_open"
        sources = {role: known(role).get(name) for role, name in named(recipe).items()}
        domains = {source.domain if source else MATHEMATICS.name for source in sources.values()}
        of_domains = (name for name, item in BENCHMARKS.items() if item.domain in domains)
        return [name for name in of_domains if name != other]
    if unknown := [name for name in recipe.data.decontaminate if name not in BENCHMARKS]:
        known_names = ", ".join(BENCHMARKS)
        raise RecipeError(f"data.decontaminate: {', '.join(unknown)} is not known; choose among {known_names}")
    return recipe.data.decontaminate


def problems(recipe: Recipe, names: Iterable[str]) -> Iterator[Evaluated]:
    """The problems of the benchmarks in `names`. Raises `DataError` if one is unavailable."""
    names = list(names)
    for name in names:
        try:
            yield from evaluated(BENCHMARKS[name], mirror_folder(recipe.data.mirror))
        except DataError as error:
            others = ",".join(other for other in names if other != name)
            raise DataError(
                f"training leaves out the problems of {name}, and {error}; or do without: data.decontaminate=[{others}]"
            ) from error
