"""How to make the runs of a report again, and which of them were not trained like the others."""

import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable

from omegaconf import OmegaConf

from vcore_verl.config.recipe import RecipeError, load, settings
from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.layout import RECIPE

_SHOWN = 3  # settings and files named of one run
_DIGEST_CHARS = 64
_ABSENT = object()
CODE = "code"


def commands(recipe_name: str, runs: Iterable[TrainedRun]) -> list[str]:
    """The fewest commands that make all of `runs`: one for all arms with the same seeds and the same settings."""
    seeds: dict[tuple[str, str, str, tuple[str, ...]], list[int]] = defaultdict(list)
    for run in runs:
        seeds[_asked(recipe_name, run)].append(run.seed)
    inits: dict[tuple[str, str, tuple[int, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (init, rl, recipe, overrides), numbers in seeds.items():
        inits[recipe, rl, tuple(sorted(numbers)), overrides].append(init)
    return [_command(names, *rest) for rest, names in inits.items()]


def _command(inits: list[str], recipe: str, rl: str, seeds: tuple[int, ...], overrides: tuple[str, ...]) -> str:
    if len(inits) == len(seeds) == 1:
        words = ["scripts/sft_then_grpo.sh", recipe, f"init={inits[0]}", f"rl={rl}", f"seed={seeds[0]}"]
    else:
        numbers = ",".join(map(str, seeds))
        words = ["scripts/compare.sh", recipe, f"inits={','.join(inits)}", f"rls={rl}", f"seeds={numbers}"]
    return shlex.join(["bash", *words, *overrides])


def _asked(recipe_name: str, run: TrainedRun) -> tuple[str, str, str, tuple[str, ...]]:
    """`init=`, `rl=` and the recipe, by file if they are elsewhere, and the settings of recipe.yaml beyond them.

    Nothing beyond them of a run whose recipe, or a file of it, is no more.
    """
    by_folder = run.init.partition("+")[0], run.rl.partition("+")[0], recipe_name, ()
    if run.recipe is None:
        return by_folder
    init, rl = run.recipe.init_word, run.recipe.rl_word if run.rl != "none" else "none"
    word, found = run.recipe.file or recipe_name, settings(run.recipe)
    try:
        expected = settings(load(word, [f"init={init}", f"rl={rl}", f"seed={run.seed}"]))
    except RecipeError:
        return by_folder
    if expected["hardware.device"] == "auto":  # resolved by the launcher
        expected["hardware.device"] = found["hardware.device"]
    written = OmegaConf.load(run.folder / RECIPE)  # a key that is newer than the run is not in it
    overrides = (
        f"{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for key, value in found.items()
        if value != expected.get(key) and OmegaConf.select(written, key, default=_ABSENT) is not _ABSENT
    )
    return init, rl, word, tuple(overrides)


def trained_differently(runs: Iterable[TrainedRun]) -> list[str]:
    """A line for every run whose settings, data, base model, packages or code differ from most others.

    Settings of the SFT objective are compared within the objective, those of RL within the algorithm.
    """
    depends = {run.name: _depends(run) for run in runs}
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for found in depends.values():
        for key, value in found.items():
            counts[key][value] += 1
    usual = {key: counter.most_common(1)[0][0] for key, counter in counts.items()}
    lines = []
    for name, found in depends.items():
        strange = [key for key, value in found.items() if value != usual[key]]
        odd = [_odd(key[1], found[key], usual[key]) for key in strange if key[0] != CODE]
        if files := sorted({key[1].partition(" ")[2] for key in strange if key[0] == CODE}):
            odd.insert(0, f"made by other code in {_some(files)}")
        if odd:
            lines.append(f"{name}: {_some(odd)}")
    return lines


def _some(words: list[str]) -> str:
    more = [f"and {len(words) - _SHOWN} more"] if len(words) > _SHOWN else []
    return ", ".join(words[:_SHOWN] + more)


def _depends(run: TrainedRun) -> dict[tuple[str, str], str]:
    """(with whom it is compared, name) -> value, of all that the training followed from but its own former stage.

    Of code the name is the stage and the file.
    """
    found: dict[tuple[str, str], str] = {}
    for stage, record in run.records.items():
        made_by = record.get("made_by") or record.get("code", {})
        found |= {(CODE, f"{stage} {file}"): digest for file, digest in made_by.items()}
        for name, value in record.get("depends", {}).items():
            if name != "seed" and not name.startswith("sft/"):
                peers = {"init": run.init, "rl": run.rl}.get(name.partition(".")[0], "all")
                found[peers, name] = str(value)
    return found


def _odd(name: str, value: str, usual: str) -> str:
    return f"another {name}" if len(value) == len(usual) == _DIGEST_CHARS else f"{name}={value} (others {usual})"
