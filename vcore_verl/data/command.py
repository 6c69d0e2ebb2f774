"""The stages that make the built-in base model and the data sets. Imports no torch."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console

from vcore_verl.config.recipe import BUILTIN, Recipe, RecipeError
from vcore_verl.cpu import cpu_environment
from vcore_verl.data import funnel, sources
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.published import SAMPLES, mirror_folder
from vcore_verl.runs.layout import RECIPE, ArtefactError, Run
from vcore_verl.runs.metrics_file import last_step
from vcore_verl.runtime.process import Command

# The first is pretrained on its task; the others are untrained models of published families, for `scale=smoke`.
BUILTIN_MODELS = ("builtin:arithmetic", "builtin:qwen3", "builtin:llama", "builtin:mistral")
BUILTIN_DATA = "builtin:arithmetic"
BUILTIN_TESTS = ("in_domain", "out_of_domain")


def base_command(recipe: Recipe, run: Run) -> Command:
    """Build the built-in model and pretrain it for `base.steps`, or fetch the model
    from the hub.

    Raises `RecipeError` where there is no built-in model of the name.
    """
    path, progress = recipe.model.path, run.base / "metrics.jsonl"
    if not path.startswith(BUILTIN):
        return _command("data", "base", run, progress, total=1, unit="file")
    if path not in BUILTIN_MODELS:
        raise RecipeError(f"model.path={path} is not known; choose one of {', '.join(BUILTIN_MODELS)}")
    return _command("builtin", "base", run, progress, recipe.base.steps, "step")


def data_command(recipe: Recipe, run: Run) -> Command:
    """Write the training and the test sets.

    Raises `RecipeError` for a source or an evaluation set that is not known.
    """
    builtin = is_builtin(recipe)
    tests = [*BENCHMARKS, *(BUILTIN_TESTS if builtin else ())]
    if unknown := [name for name in recipe.evaluation.datasets if name not in tests]:
        raise RecipeError(f"evaluation.datasets: {', '.join(unknown)} is not known; choose among {', '.join(tests)}")
    if not builtin:
        _check_sources(recipe)
    package, unit = ("builtin", "file") if builtin else ("data", "row")
    return _command(package, "prepare", run, run.data / "progress.jsonl", total=1, unit=unit)


def is_builtin(recipe: Recipe) -> bool:
    """Whether the training data are made here. Raises `RecipeError` where only one of the two sets is."""
    chosen = {"sft": recipe.data.sft, "rl": recipe.data.rl}
    builtin = [role for role, name in chosen.items() if name.startswith(BUILTIN)]
    if not builtin:
        return False
    if any(name != BUILTIN_DATA for name in chosen.values()):
        raise RecipeError(f"data.{builtin[0]}={chosen[builtin[0]]}: set both data.sft and data.rl to {BUILTIN_DATA}")
    return True


def local_sources(recipe: Recipe) -> list[Path]:
    """The files and directories that the recipe names as sources."""
    chosen = {"sft": recipe.data.sft, "rl": recipe.data.rl}
    if is_builtin(recipe):
        return []
    return [Path(name).expanduser() for role, name in chosen.items() if name not in sources.known(role)]


def _check_sources(recipe: Recipe) -> None:
    mirror = mirror_folder(recipe.data.mirror)
    if mirror is not None and not mirror.is_dir():
        raise RecipeError(f"data.mirror={recipe.data.mirror} is no directory; {SAMPLES} has a dozen rows of each set")
    for role, name in (("sft", recipe.data.sft), ("rl", recipe.data.rl)):
        known = sources.known(role)
        if name not in known and not Path(name).expanduser().exists():
            raise RecipeError(
                f"data.{role}={name} is neither a known source nor a file or directory; known: {', '.join(known)}"
            )
    rated = sources.known("rl").get(recipe.data.rl)
    if recipe.data.solve_rate is not None and rated is not None and not rated.rated:
        raise RecipeError(f"data.solve_rate: the problems of {recipe.data.rl} have none; leave it out")


def verify_base(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless a checkpoint is there, and pretraining of the built-in one reached its last step."""
    reached = last_step(run.base / "metrics.jsonl")
    if recipe.model.path.startswith(BUILTIN) and reached != recipe.base.steps:
        raise ArtefactError(f"the base model's pretraining ended at step {reached} of {recipe.base.steps}")
    for pattern in ("config.json", "*.safetensors", "tokenizer*"):
        if not any(file.is_file() for file in run.base_hf.glob(pattern)):
            raise ArtefactError(f"{run.base_hf / pattern} is missing")


def verify_data(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless every file holds as many rows as the summary written after it says."""
    summary_path = run.data / "data.json"
    if not summary_path.is_file():
        raise ArtefactError(f"{summary_path} is missing")
    rows = json.loads(summary_path.read_text())["rows"]
    if missing := sorted({"sft", "rl", *recipe.evaluation.datasets} - set(rows)):
        raise ArtefactError(f"{summary_path} lacks {', '.join(missing)}")
    for name in rows:
        path = run.data / f"{name}.parquet"
        found = pq.read_metadata(path).num_rows if path.is_file() else 0
        if found != rows[name]:
            raise ArtefactError(f"{path} holds {found} rows, expected {rows[name]}")


def print_funnels(run: Run, console: Console) -> None:
    """How many rows each filter dropped, as far as the data have filters, and how many rows every set holds."""
    summary = json.loads((run.data / "data.json").read_text())
    for name, record in summary.get("sets", {}).items():
        console.print(funnel.table(name, record))
    rows = ", ".join(f"{name} {count:,}" for name, count in summary["rows"].items())
    console.print(f"rows: {rows}\ndata: {run.data}", highlight=False, soft_wrap=True)


def _command(package: str, verb: str, run: Run, progress: Path, total: int, unit: str) -> Command:
    argv = [sys.executable, "-m", f"vcore_verl.{package}", verb, str(run.root / RECIPE)]
    return Command(argv=argv, env=cpu_environment(), progress=progress, total=total, unit=unit)
