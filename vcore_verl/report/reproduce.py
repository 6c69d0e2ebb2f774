"""Commands that reproduce the runs of a report, and which runs were trained differently from the others."""

import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable

from omegaconf import OmegaConf

from vcore_verl.config.recipe import RecipeError, load, settings
from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.layout import RECIPE

_SHOWN = 3  # settings or files named per run
_DIGEST_CHARS = 64
_ABSENT = object()
CODE = "code"


def commands(recipe_name: str, runs: Iterable[TrainedRun]) -> list[str]:
    """The commands that reproduce all `runs`: one for all arms with the same seeds and settings."""
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
    """`init=`, `rl=` and the recipe (by path if not in `recipes/`), and the overrides that reproduce recipe.yaml.

    No overrides if the run has no recipe, or a file of it no longer exists.
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
    written = OmegaConf.load(run.folder / RECIPE)  # lacks keys that are newer than the run
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
    """(group of runs to compare with, name) -> value, for all dependencies of training except the seed and SFT results.

    For code, the name is the stage and the file.
    """
    found: dict[tuple[str, str], str] = {}
    for stage, record in run.records.items():
        made_by = record.get("made_by") or record.get("code", {})
        found |= {(CODE, f"{stage} {file}"): digest for file, digest in made_by.items()}
        for name, value in record.get("depends", {}).items():
            if name != "seed" and not name.startswith("sft/") and name not in run.tuned:
                peers = {"init": run.init, "rl": run.rl}.get(name.partition(".")[0], "all")
                found[peers, name] = str(value)
    return found


def _odd(name: str, value: str, usual: str) -> str:
    return f"another {name}" if len(value) == len(usual) == _DIGEST_CHARS else f"{name}={value} (others {usual})"
