"""The arms of a sweep - SFT objectives x RL algorithms x training seeds x values of keys - from the words of its
command. Imports no torch.
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from vcore_verl.config import verl_keys
from vcore_verl.config.recipe import Recipe, RecipeError, compared_inits, load
from vcore_verl.config.schema import NONE
from vcore_verl.pipeline.pipeline import Pipeline, Step
from vcore_verl.runs import tracking
from vcore_verl.runtime import hardware

DEFAULTS = {"rls": "grpo", "seeds": "0"}  # and the inits whose objectives are `compared`
_VARIANTS = {"variant": False, "rl.variant": True}  # of SFT and of RL
# Group -> the choice that skips its stage, and the settings that are then dropped from an arm.
_IGNORED = {"init": (NONE, ("init.", "sft.", "model.lora.")), "rl": (NONE, ("rl.",))}


@dataclass(frozen=True)
class Arm:
    """One training run of the comparison, checked; `argv` is the command that brings it up to date."""

    pipeline: Pipeline
    argv: list[str]
    changed_code: str = "ask"

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


def arms(recipe_name: str, words: Sequence[str], console: Console, changed_code: str = "ask") -> list[Arm]:
    """The arms given by `words`: `inits=a,b`, `rls=a,b`, `seeds=0,1`, and overrides for all of them.

    An override with several values, `sft.learning_rate=1e-3,2e-3`, makes one arm per value, named by its variant. Arms
    that differ only in keys of RL start from the same SFT.

    All arms of one seed come before those of the next, so that a complete comparison is available early. Settings of
    SFT are dropped from arms without SFT, and those of RL from arms without RL. Raises `RecipeError` if an arm is
    invalid.
    """
    defaults = {"inits": ",".join(compared_inits(recipe_name)), **DEFAULTS}
    chosen = {name: _values(name, words, default) for name, default in defaults.items()}
    overrides = [word for word in words if word.partition("=")[0] not in defaults]
    for word in overrides:
        if word.partition("=")[0] in ("init", "rl", "seed"):
            raise RecipeError(f"'{word}' names a single arm; a comparison takes a list: {word.replace('=', 's=', 1)}")
    for seed in chosen["seeds"]:
        if not seed.isdecimal():
            raise RecipeError(f"seeds={','.join(chosen['seeds'])}: '{seed}' is not a number; write seeds=0,1,2")
    triples = [
        (init, rl, seed)
        for seed, rl, init in itertools.product(chosen["seeds"], chosen["rls"], chosen["inits"])
        if (init, rl) != (NONE, NONE)
    ]
    if not triples:
        raise RecipeError("init=none and rl=none together leave nothing to train: name another init or rl")
    several = len(set(triples)) > len(chosen["seeds"])
    choices = list(itertools.product(*map(_choices, overrides)))
    argvs = dict.fromkeys(_words(triple, settings, several) for triple in triples for settings in choices)
    return [_arm(recipe_name, words, console, changed_code) for words in argvs]


def _choices(word: str) -> list[Choice]:
    """`key=a,b` gives one choice per value, anything else a single one; a list in brackets is one value."""
    key, _, value = word.partition("=")
    several = "," in value and not set(value) & set("[]{}()'\"")
    if several and not key.startswith(("init.", "sft.", "rl.")):
        raise RecipeError(f"'{word}': all arms have the same {key}; only keys of init, sft and rl take several values")
    return [Choice(key, item, several) for item in (value.split(",") if several else [value])]


def _values(name: str, words: Sequence[str], default: str) -> list[str]:
    given = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    if len(given) > 1:
        raise RecipeError(f"{name} is given {len(given)} times; write {name}={','.join(given)}")
    values = (given[0] if given else default).split(",")
    if not all(values):
        raise RecipeError(f"{name}={','.join(values)} has an empty entry; write for example {name}={default}")
    return list(dict.fromkeys(values))


def _words(triple: tuple[str, str, str], settings: Sequence[Choice], drop_ignored: bool) -> tuple[str, ...]:
    """The overrides of one arm. Settings with several values name a variant of its SFT, or of its RL if they are RL's:
    `learning_rate-1e-3`.
    """
    chosen = dict(zip(("init", "rl", "seed"), triple, strict=True))
    ignored = tuple(
        prefix for key, (value, prefixes) in _IGNORED.items() if chosen[key] == value for prefix in prefixes
    )
    kept = [item for item in settings if not (drop_ignored and item.key.startswith(ignored))]
    words = [f"{key}={value}" for key, value in chosen.items()]
    words += [f"{item.key}={item.value}" for item in kept if item.key not in _VARIANTS]
    for name, of_rl in _VARIANTS.items():
        variant = [item.value for item in kept if item.key == name]
        varied = [item for item in kept if item.varied and item.key.startswith("rl.") == of_rl and item.key != name]
        variant += [f"{item.key.rpartition('.')[2]}-{item.value}" for item in varied]
        words += [f"{name}={'+'.join(variant)}"] * bool(variant)
    return tuple(words)


def _arm(recipe_name: str, words: tuple[str, ...], console: Console, changed_code: str) -> Arm:
    recipe = load(recipe_name, list(words))
    verl_keys.check(recipe)
    tracking.check(recipe)
    recipe = hardware.resolve(recipe)
    argv = [sys.executable, "-m", "vcore_verl", "run", recipe_name, *words, "--no-report"]
    argv += [] if changed_code == "ask" else [f"--{changed_code}"]
    return Arm(Pipeline(recipe, console, report=False), argv, changed_code)
