"""The stages that make the built-in base model and the data sets. Imports no torch."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from vcore_verl.metrics import last_step
from vcore_verl.platform import cpu_environment
from vcore_verl.process import Command
from vcore_verl.recipe import BUILTIN, Recipe, RecipeError
from vcore_verl.run import ArtefactError, Run

# The first is pretrained on its task; the others are untrained models of published families, for `scale=smoke`.
BUILTIN_MODELS = ("builtin:arithmetic", "builtin:qwen3", "builtin:llama", "builtin:mistral")
FILES = ("sft", "rl", "in_domain", "out_of_domain")


def base_command(recipe: Recipe, run: Run) -> Command:
    """`python -m vcore_verl.data base`: build the built-in model and pretrain it for `base.steps`, or fetch the model
    from the hub.

    Raises `RecipeError` where there is no built-in model of the name.
    """
    path, progress = recipe.model.path, run.base / "metrics.jsonl"
    if not path.startswith(BUILTIN):
        return _command("base", run, progress, total=1, unit="file")
    if path not in BUILTIN_MODELS:
        raise RecipeError(f"model.path={path} is not known; choose one of {', '.join(BUILTIN_MODELS)}")
    return _command("base", run, progress, recipe.base.steps, "step")


def data_command(recipe: Recipe, run: Run) -> Command:
    """`python -m vcore_verl.data prepare`: write the training and the test sets."""
    return _command("prepare", run, run.data / "progress.jsonl", len(FILES), "file")


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
    for name in FILES:
        path = run.data / f"{name}.parquet"
        found = pq.read_metadata(path).num_rows if path.is_file() else 0
        if found != rows[name]:
            raise ArtefactError(f"{path} holds {found} rows, expected {rows[name]}")


def _command(verb: str, run: Run, progress: Path, total: int, unit: str) -> Command:
    argv = [sys.executable, "-m", "vcore_verl.data", verb, str(run.dir / "recipe.yaml")]
    return Command(argv=argv, env=cpu_environment(), progress=progress, total=total, unit=unit)
