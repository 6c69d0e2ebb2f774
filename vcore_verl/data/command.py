"""The stages that make the built-in base model and the data sets. Imports no torch."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from vcore_verl.metrics import last_step
from vcore_verl.platform import cpu_environment
from vcore_verl.process import Command
from vcore_verl.recipe import Recipe
from vcore_verl.run import ArtefactError, Run

FILES = ("sft", "rl", "in_domain", "out_of_domain")


def base_command(recipe: Recipe, run: Run) -> Command:
    """`python -m vcore_verl.data base`: build the built-in model and pretrain it for a few minutes."""
    return _command("base", run, run.base / "metrics.jsonl", recipe.base.steps, "step")


def data_command(recipe: Recipe, run: Run) -> Command:
    """`python -m vcore_verl.data prepare`: write the training and the test sets."""
    return _command("prepare", run, run.data / "progress.jsonl", len(FILES), "file")


def verify_base(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless pretraining reached its last step and left a checkpoint."""
    reached = last_step(run.base / "metrics.jsonl")
    if reached != recipe.base.steps:
        raise ArtefactError(f"the base model's pretraining ended at step {reached} of {recipe.base.steps}")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (run.base_hf / name).is_file():
            raise ArtefactError(f"{run.base_hf / name} is missing")


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
