"""Tuning in a sweep: each arm chooses its own values of some keys by the validation set, then runs with them.

A point of the grid is an arm like any other, stored under the name of its values, and trained once: the arm with the
chosen values continues from it where the seed is the same. Imports no torch.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, RenderableType

from vcore_verl.config.errors import suggestion
from vcore_verl.config.recipe import RecipeError, load, settings
from vcore_verl.config.schema import NONE
from vcore_verl.pipeline.arms import (
    DEFAULTS,
    Arm,
    Choice,
    Kind,
    asked_for,
    check_seeds,
    effective,
    make,
    recipe_of,
    values,
    variant,
)
from vcore_verl.report.scores import read_evaluation
from vcore_verl.report.terminal import rich_table
from vcore_verl.report.tuning import TUNED, Point, Tuned, points, tuning_table, write_tuning
from vcore_verl.runs.layout import VALIDATION, Run

_TUNE, _SEEDS, _AFTER = "tune", "tune_seeds", "tune_after"
_DEFAULT = "default"
_EXAMPLE = "tune=sft.learning_rate:5e-4,1e-3,2e-3"
_OF_SFT = ("init.", "sft.")


@dataclass(frozen=True)
class Tuning:
    """What to tune: the values of each key, the training seeds, and the stage that decides ("" for the default)."""

    grid: dict[str, list[str]]
    seeds: list[str]
    after: str


@dataclass(frozen=True)
class Search:
    """The tuning of the arms of one kind: point of the grid -> a run per tuning seed. `lacks`: keys without effect."""

    kind: Kind
    lacks: tuple[str, ...]
    after: str
    runs: dict[tuple[Choice, ...], list[Arm]]


def split(words: Sequence[str]) -> tuple[Tuning | None, list[str]]:
    """What `words` ask to tune, None for nothing, and the other words. Raises `RecipeError` for bad input."""
    asked = [word.partition("=")[2] for word in words if word.startswith(f"{_TUNE}=")]
    options = [word for word in words if word.startswith((f"{_SEEDS}=", f"{_AFTER}="))]
    rest = [word for word in words if word not in options and not word.startswith(f"{_TUNE}=")]
    if not asked:
        if options:
            raise RecipeError(f"{options[0]} would be ignored: nothing is tuned; add {_EXAMPLE}, or leave it out")
        return None, rest
    grid: dict[str, list[str]] = {}
    for text in asked:
        key, found = _axis(text)
        if key in grid:
            raise RecipeError(f"{_TUNE} has {key} twice; write all its values in one")
        if any(word.partition("=")[0] == key for word in rest):
            raise RecipeError(f"{key} is tuned and given a value as well: leave one of them out")
        grid[key] = found
    seeds = values(_SEEDS, options, values("seeds", rest, DEFAULTS["seeds"])[0])
    check_seeds(_SEEDS, seeds)
    after = ",".join(values(_AFTER, options, _DEFAULT))
    return Tuning(grid, seeds, _checked_after(after, grid)), rest


def _axis(text: str) -> tuple[str, list[str]]:
    """Key and values of `sft.learning_rate:5e-4,1e-3`."""
    key, _, listed = text.partition(":")
    found = list(dict.fromkeys(listed.split(",")))
    if not key.startswith((*_OF_SFT, "rl.")) or key == "rl.variant" or not all(found):
        raise RecipeError(f"cannot read '{_TUNE}={text}': write a key of init, sft or rl and its values, {_EXAMPLE}")
    if set(listed) & set("[]{}()'\""):
        raise RecipeError(f"'{_TUNE}={text}': only numbers and words can be tuned, no lists")
    if len(found) == 1:
        raise RecipeError(
            f"'{_TUNE}={text}' has one value, which leaves nothing to choose; write {key}={listed} instead"
        )
    return key, found


def _checked_after(after: str, grid: dict[str, list[str]]) -> str:
    if after == _DEFAULT:
        return ""
    if after not in ("sft", "rl"):
        raise RecipeError(f"{_AFTER}={after} is not known; choose sft or rl")
    if after == "sft" and (late := [key for key in grid if key.startswith("rl.")]):
        raise RecipeError(f"{_AFTER}=sft: {late[0]} has no effect before RL; leave {_AFTER} out")
    return after


def searches(
    recipe_name: str, tuning: Tuning, words: Sequence[str], console: Console, changed_code: str
) -> list[Search]:
    """The tuning of every kind of arm that `words` ask for and that has one of the keys.

    Keys of SFT are tuned after SFT, unless keys of RL are tuned with them or `tuning.after` is "rl". Raises
    `RecipeError` for a key that no arm has, and if a run is invalid.
    """
    kinds = asked_for(recipe_name, words).kinds
    has = {kind: _keys_of(recipe_name, kind, tuning) for kind in kinds}
    for key in tuning.grid:
        if not any(key in keys for keys in has.values()):
            raise _nobody_has(recipe_name, kinds, key)
    if tuning.after == "rl" and all(kind.rl == NONE for kind in kinds):
        raise RecipeError(f"{_AFTER}=rl needs RL: name an algorithm, rls=grpo")
    stages = {kind: _decided_after(kind, keys, tuning) for kind, keys in has.items()}
    tune_sft = [kind for kind in kinds if any(key.startswith(_OF_SFT) for key in has[kind])]
    algorithms = dict.fromkeys(kind.rl for kind in tune_sft)
    if len(algorithms) > 1 and any(stages[kind] == "rl" for kind in tune_sft):
        raise RecipeError(
            f"keys of SFT are tuned after RL with one algorithm at a time: name one of {', '.join(algorithms)} in rls="
        )
    made: dict[tuple[Kind, str], Arm] = {}

    def run(kind: Kind, seed: str) -> Arm:
        if (kind, seed) not in made:
            made[kind, seed] = make(recipe_name, kind, seed, console, changed_code, validate=True)
        return made[kind, seed]

    found = []
    for kind, keys in has.items():
        if keys:
            start = effective(kind if stages[kind] == "rl" else kind._replace(rl=NONE))
            axes = [[Choice(key, value, True) for value in tuning.grid[key]] for key in keys]
            runs = {
                point: [run(start.choosing(point), seed) for seed in tuning.seeds] for point in itertools.product(*axes)
            }
            found.append(Search(kind, tuple(key for key in tuning.grid if key not in keys), stages[kind], runs))
    return found


def _keys_of(recipe_name: str, kind: Kind, tuning: Tuning) -> list[str]:
    """The tuned keys that have an effect on arms of this kind."""
    known = settings(load(recipe_name, [f"init={kind.init}", f"rl={kind.rl}"]))
    return [
        key
        for key in tuning.grid
        if (kind.rl != NONE if key.startswith("rl.") else kind.init != NONE)
        and (key in known or not key.startswith("init."))  # another unknown key is reported when the arm is made
    ]


def _decided_after(kind: Kind, keys: Iterable[str], tuning: Tuning) -> str:
    late = tuning.after == "rl" or any(key.startswith("rl.") for key in keys)
    return "rl" if late and kind.rl != NONE else "sft"


def _nobody_has(recipe_name: str, kinds: Sequence[Kind], key: str) -> RecipeError:
    section = key.partition(".")[0]
    found = {name for kind in kinds for name in settings(load(recipe_name, [f"init={kind.init}", f"rl={kind.rl}"]))}
    known = sorted(name.removeprefix(f"{section}.") for name in found if name.startswith(f"{section}."))
    return RecipeError(f"no arm has {key}{suggestion(key.removeprefix(f'{section}.'), known, section)}")


def unique(found: Iterable[Search]) -> list[Arm]:
    """The runs of all searches, each once, those of one seed before those of the next."""
    arms = {arm.name: arm for search in found for runs in search.runs.values() for arm in runs}
    return sorted(arms.values(), key=lambda arm: arm.recipe.seed)


def first_points(found: Iterable[Search]) -> dict[Kind, tuple[Choice, ...]]:
    """Kind -> a point of its grid, to check the arms before tuning has run."""
    return {search.kind: next(iter(search.runs)) for search in found}


def remarks(found: Sequence[Search], kinds: Iterable[Kind]) -> list[str]:
    """Lines on the arms that tune only some of the keys, or none."""
    searched = {search.kind for search in found}
    lines = {
        f"{search.kind.init}-{search.kind.rl} has no {key}, which is tuned for the others"
        for search in found
        for key in search.lacks
    }
    lines |= {
        f"{kind.init}-{kind.rl} has none of the tuned keys and runs as it is" for kind in kinds if kind not in searched
    }
    return sorted(lines)


def choose(found: Iterable[Search]) -> dict[Kind, tuple[Choice, ...]]:
    """Kind -> the point of highest mean accuracy on the validation set, of equal ones the first.

    All runs must be done.
    """
    return {search.kind: _best(search, _points(search)) for search in found}


def record(recipe_name: str, found: Sequence[Search]) -> RenderableType:
    """Write the outcomes of finished searches to runs/<recipe>/tuning.json, for the report; they as a table."""
    outcomes = []
    for search in found:
        made = _points(search)
        best = _best(search, made)
        outcomes.append(_outcome(search, best, made, Run(recipe_of(recipe_name, search.kind.choosing(best)))))
    write_tuning(unique(found)[0].root, outcomes)
    return rich_table("Tuned settings", tuning_table(outcomes))


def _points(search: Search) -> tuple[Point, ...]:
    return points(
        {tuple(item.value for item in point): [_scores_P(arm) for arm in runs] for point, runs in search.runs.items()}
    )


def _best(search: Search, made: tuple[Point, ...]) -> tuple[Choice, ...]:
    return max(zip(search.runs, made, strict=True), key=lambda pair: pair[1].accuracy)[0]


def _scores_P(arm: Arm) -> NDArray[np.float64]:
    scores = read_evaluation(arm.pipeline.run_dir.validation).datasets[VALIDATION]
    return scores.by_prompt(arm.recipe.comparison.primary.decoding)


def _outcome(search: Search, best: tuple[Choice, ...], made: tuple[Point, ...], run: Run) -> Tuned:
    arms = search.runs[best]
    of_sft, of_rl = (variant(item for item in best if item.key.startswith("rl.") == late) for late in (False, True))
    return Tuned(
        init=_renamed(run.arm, of_sft),
        rl=_renamed(run.rl_arm, of_rl),
        folders=(run.arm, run.rl_arm),
        keys=tuple(item.key for item in best),
        lacks=search.lacks,
        after=search.after,
        decoding=arms[0].recipe.comparison.primary.decoding,
        num_prompts=arms[0].recipe.data.num_validation,
        seeds=tuple(arm.recipe.seed for arm in arms),
        points=made,
    )


def _renamed(folder: str, values: str) -> str:
    return f"{folder.removesuffix(values)}{TUNED}" if values else folder
