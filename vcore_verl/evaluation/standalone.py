"""Evaluation of any checkpoint, from a run or not: `python -m vcore_verl eval CHECKPOINT [benchmark ...]`.

Imports neither torch nor vLLM.
"""

from pathlib import Path

from vcore_verl.config.checks import is_code
from vcore_verl.config.recipe import Recipe, load, read
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import prepare
from vcore_verl.data.code import judging
from vcore_verl.evaluation.command import command_for
from vcore_verl.evaluation.job import EvaluationError
from vcore_verl.evaluation.results import RESULTS
from vcore_verl.runs.layout import RECIPE, Run
from vcore_verl.runtime import hardware
from vcore_verl.runtime.process import Command


def asked_of(
    checkpoint: Path, datasets: list[str], recipe_name: str | None, output: Path | None
) -> tuple[Path, Command | None]:
    """Folder of the results, and the evaluation to run; None if `checkpoint` is a finished evaluation's folder.

    A data set is one of the recipe's runs, a benchmark (prepared from the hub if missing), or a parquet file in verl's
    RL row format; by default those of the recipe. The decoding is the recipe's, too. Raises `EvaluationError` for an
    unknown data set, or a checkpoint of no run without a recipe, and `RecipeError` for an unknown recipe,
    or programs that cannot be run here.
    """
    if (checkpoint / RESULTS).is_file():
        return checkpoint, None
    recipe = load(recipe_name, []) if recipe_name else recipe_of(checkpoint)
    if recipe is None:
        raise EvaluationError(f"{checkpoint} is in no run: say with --recipe which recipe's decoding to use")
    folder = output or output_of(checkpoint, recipe)
    recipe.evaluation.datasets = datasets or recipe.evaluation.datasets
    if is_code(recipe):
        judging.check(recipe)
    files = dict(_dataset(recipe, name) for name in recipe.evaluation.datasets)
    return folder, command_for(hardware.resolve(recipe), checkpoint, folder, files, stage="checkpoint")


def recipe_of(checkpoint: Path) -> Recipe | None:
    """The recipe of the run that `checkpoint` belongs to; None if it belongs to no run."""
    found = (parent / RECIPE for parent in checkpoint.resolve().parents if (parent / RECIPE).is_file())
    path = next(found, None)
    return read(path) if path else None


def output_of(checkpoint: Path, recipe: Recipe) -> Path:
    """Folder of the evaluation: `runs/evaluations/<the checkpoint's path below runs, or its last five parts>`."""
    root, place = Path(recipe.output_dir).resolve(), checkpoint.resolve()
    parts = place.relative_to(root).parts if place.is_relative_to(root) else place.parts[1:][-5:]
    return Path(recipe.output_dir) / "evaluations" / "-".join(parts)


def _dataset(recipe: Recipe, name: str) -> tuple[str, Path]:
    if name.endswith(".parquet"):
        return Path(name).stem, Path(name)
    run = Run(recipe)
    path = run.data / f"{name}.parquet"
    if not path.is_file():
        if name not in BENCHMARKS:
            known = ", ".join(sorted({*BENCHMARKS, *(file.stem for file in run.data.glob("*_domain.parquet"))}))
            raise EvaluationError(
                f"no data set '{name}': give one of {known}, or a parquet file in verl's RL row format"
            )
        prepare(BENCHMARKS[name], path, recipe)
    return name, path
