"""What the runs of a report were trained on and how, from their recipes."""

from collections import defaultdict
from collections.abc import Iterable

from vcore_verl.config.recipe import Recipe, RecipeError, read
from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.layout import RECIPE
from vcore_verl.runs.model_card import training


def setup(runs: Iterable[TrainedRun]) -> dict[str, str]:
    """Name -> value; where runs differ each value with its arms. Empty where no run has a recipe."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        recipe = _recipe(run)
        if recipe is not None:
            stage = "sft" if run.rl == "none" else "rl"
            for name, value in training(recipe, run.folder, stage).items():
                found[name][value].append(f"{run.init}-{run.rl}")
    return {name: _joined(values) for name, values in found.items()}


def _joined(values: dict[str, list[str]]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} ({', '.join(dict.fromkeys(arms))})" for value, arms in values.items())


def rl_steps(runs: Iterable[TrainedRun]) -> dict[str, str]:
    """RL algorithm -> `15 steps of grpo`; without a number where no run has a recipe."""
    steps: dict[str, set[int]] = defaultdict(set)
    for run in runs:
        recipe = _recipe(run)
        steps[run.rl] |= {recipe.rl.steps} if recipe is not None else set()
    return {rl: f"{' or '.join(map(str, sorted(found)))} steps of {rl}" if found else rl for rl, found in steps.items()}


def _recipe(run: TrainedRun) -> Recipe | None:
    path = run.folder / RECIPE
    try:
        return read(path) if path.is_file() else None
    except RecipeError:  # written by another version
        return None
