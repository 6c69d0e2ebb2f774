"""The arms of a sweep - SFT objectives x RL algorithms x training seeds x values of keys - from the words of its
command. Imports no torch.
"""

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from vcore_verl.config import verl_keys
from vcore_verl.config.algorithms import DEFAULT
from vcore_verl.config.recipe import Recipe, RecipeError, compared_inits, load
from vcore_verl.config.schema import NONE
from vcore_verl.pipeline.pipeline import Pipeline, Step
from vcore_verl.pipeline.validation import validation_stages
from vcore_verl.runs import tracking
from vcore_verl.runs.layout import Run
from vcore_verl.runtime import hardware

DEFAULTS = {"rls": DEFAULT, "seeds": "0"}  # and the inits whose objectives are `compared`
_VARIANTS = {"variant": False, "rl.variant": True}  # of SFT and of RL
# Group -> the choice that skips its stage, and the settings that are then dropped from an arm.
_IGNORED = {"init": (NONE, ("init.", "sft.", "model.lora.")), "rl": (NONE, ("rl.",))}


@dataclass(frozen=True)
class Arm:
    """One training run of the comparison, checked; `argv` is the command that brings it up to date.

    `validate`: whether it is evaluated on the validation set alone, to choose settings.
    """

    pipeline: Pipeline
    argv: list[str]
    changed_code: str = "ask"
    validate: bool = False

    @property
    def recipe(self) -> Recipe:
        return self.pipeline.recipe

    @property
    def name(self) -> str:
        run = self.pipeline.run_dir
        return f"{run.arm}-{run.rl_arm} seed {self.recipe.seed}"

    @property
    def log(self) -> Path:
        """The output of the arm's command; the stages' own logs are in the same folder."""
        return self.pipeline.run_dir.dir / "logs" / "arm.log"

    def plan(self) -> list[Step]:
        return self.pipeline.plan(changed_code=self.changed_code)

    def missing(self) -> list[Step]:
        """The steps that are not skipped."""
        return [step for step in self.plan() if step.action != "skip"]

    def seconds(self) -> float:
        """Seconds that its SFT, RL and their evaluations have taken so far, over all attempts."""
        return sum(self.pipeline.seconds(stage) for stage in self.pipeline.stages if stage.home != self.root)

    @property
    def root(self) -> Path:
        return self.pipeline.run_dir.root


class Choice(NamedTuple):
    """An override of an arm; `varied` if the key has different values in different arms."""

    key: str
    value: str
    varied: bool


class Kind(NamedTuple):
    """What arms that differ in the seed alone have in common."""

    init: str
    rl: str
    settings: tuple[Choice, ...]

    def choosing(self, choices: Iterable[Choice]) -> "Kind":
        return self._replace(settings=(*self.settings, *choices))


class Asked(NamedTuple):
    """What the words of a sweep ask for: `kinds` of arms, each with all `seeds`."""

    kinds: list[Kind]
    seeds: list[str]


def asked_for(recipe_name: str, words: Sequence[str]) -> Asked:
    """What `words` ask for: `inits=a,b`, `rls=a,b`, `seeds=0,1`, and overrides for all arms.

    An override with several values, `sft.learning_rate=1e-3,2e-3`, makes one arm per value, named by its variant. Arms
    that differ only in keys of RL start from the same SFT. Settings of SFT are dropped from arms without SFT, and those
    of RL from arms without RL. Raises `RecipeError` for words that cannot be read.
    """
    defaults = {"inits": ",".join(compared_inits(recipe_name)), **DEFAULTS}
    chosen = {name: values(name, words, default) for name, default in defaults.items()}
    overrides = [word for word in words if word.partition("=")[0] not in defaults]
    for word in overrides:
        if word.partition("=")[0] in ("init", "rl", "seed"):
            raise RecipeError(f"'{word}' names a single arm; a comparison takes a list: {word.replace('=', 's=', 1)}")
    check_seeds("seeds", chosen["seeds"])
    pairs = [(init, rl) for rl, init in itertools.product(chosen["rls"], chosen["inits"]) if (init, rl) != (NONE, NONE)]
    if not pairs:
        raise RecipeError("init=none and rl=none together leave nothing to train: name another init or rl")
    choices = list(itertools.product(*map(_choices, overrides)))
    kinds = [Kind(*pair, settings) for pair in pairs for settings in choices]
    if len(pairs) > 1:  # a setting that the only arm ignores is an error
        kinds = list(dict.fromkeys(map(effective, kinds)))
    return Asked(kinds, chosen["seeds"])


def effective(kind: Kind) -> Kind:
    """`kind` without settings of a stage that it does not have."""
    chosen = {"init": kind.init, "rl": kind.rl}
    ignored = tuple(prefix for key, (value, some) in _IGNORED.items() if chosen[key] == value for prefix in some)
    return kind._replace(settings=tuple(item for item in kind.settings if not item.key.startswith(ignored)))


def arms(
    recipe_name: str,
    words: Sequence[str],
    console: Console,
    changed_code: str = "ask",
    tuned: Mapping[Kind, Sequence[Choice]] | None = None,
) -> list[Arm]:
    """The arms that `words` ask for, see `asked_for`; those of a kind in `tuned` with these values in addition.

    All arms of one seed come before those of the next, so that a complete comparison is available early. Raises
    `RecipeError` if an arm is invalid.
    """
    asked, tuned = asked_for(recipe_name, words), tuned or {}
    kinds = [kind.choosing(tuned.get(kind, ())) for kind in asked.kinds]
    return [make(recipe_name, kind, seed, console, changed_code) for seed in asked.seeds for kind in kinds]


def make(
    recipe_name: str, kind: Kind, seed: str, console: Console, changed_code: str = "ask", validate: bool = False
) -> Arm:
    """One arm; with `validate`, evaluated on the validation set alone. Raises `RecipeError` if it is invalid."""
    words, recipe = _words(kind, seed), recipe_of(recipe_name, kind, seed)
    argv = [sys.executable, "-m", "vcore_verl", "run", recipe_name, *words, "--no-report"]
    argv += ["--validate"] * validate + ([] if changed_code == "ask" else [f"--{changed_code}"])
    stage_list = validation_stages(recipe, Run(recipe)) if validate else None
    return Arm(Pipeline(recipe, console, stage_list, report=False), argv, changed_code, validate)


def recipe_of(recipe_name: str, kind: Kind, seed: str = "0") -> Recipe:
    """The checked recipe of an arm, with its device resolved. Raises `RecipeError` if it is invalid."""
    recipe = load(recipe_name, _words(kind, seed))
    verl_keys.check(recipe)
    tracking.check(recipe)
    return hardware.resolve(recipe)


def _choices(word: str) -> list[Choice]:
    """`key=a,b` gives one choice per value, anything else a single one; a list in brackets is one value."""
    key, _, value = word.partition("=")
    several = "," in value and not set(value) & set("[]{}()'\"")
    if several and not key.startswith(("init.", "sft.", "rl.")):
        raise RecipeError(f"'{word}': all arms have the same {key}; only keys of init, sft and rl take several values")
    return [Choice(key, item, several) for item in (value.split(",") if several else [value])]


def values(name: str, words: Sequence[str], default: str) -> list[str]:
    """The values of `name=a,b` in `words`. Raises `RecipeError` if it is given twice or has an empty entry."""
    given = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    if len(given) > 1:
        raise RecipeError(f"{name} is given {len(given)} times; write {name}={','.join(given)}")
    values = (given[0] if given else default).split(",")
    if not all(values):
        raise RecipeError(f"{name}={','.join(values)} has an empty entry; write for example {name}={default}")
    return list(dict.fromkeys(values))


def check_seeds(name: str, seeds: Sequence[str]) -> None:
    """Raise `RecipeError` for a seed that is no number."""
    for seed in seeds:
        if not seed.isdecimal():
            raise RecipeError(f"{name}={','.join(seeds)}: '{seed}' is not a number; write {name}=0,1,2")


def variant(choices: Iterable[Choice]) -> str:
    """The name of settings with several values: `learning_rate-1e-3`."""
    return "+".join(f"{item.key.rpartition('.')[2]}-{item.value}" for item in choices)


def _words(kind: Kind, seed: str) -> list[str]:
    """The overrides of one arm. Settings with several values name a variant of its SFT, or of its RL if RL's."""
    words = [f"init={kind.init}", f"rl={kind.rl}", f"seed={seed}"]
    words += [f"{item.key}={item.value}" for item in kind.settings if item.key not in _VARIANTS]
    for name, of_rl in _VARIANTS.items():
        given = [item.value for item in kind.settings if item.key == name]
        varied = [item for item in kind.settings if item.varied and item.key.startswith("rl.") == of_rl]
        parts = [*given, *([variant(others)] if (others := [item for item in varied if item.key != name]) else [])]
        words += [f"{name}={'+'.join(parts)}"] * bool(parts)
    return words
