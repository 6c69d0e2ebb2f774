"""The pool of answers that readiness is computed from: some of the run's RL prompts, answered by one checkpoint.

Imports neither torch nor vLLM.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from reward import domain_of
from reward.answers import clusters
from vcore_verl.config.recipe import Recipe, load
from vcore_verl.data.rows import write_rows
from vcore_verl.evaluation.command import command_for, sampling_of
from vcore_verl.evaluation.evaluate import checkpoint_hash
from vcore_verl.evaluation.job import EvaluationError, Sampling
from vcore_verl.evaluation.readiness import Pool
from vcore_verl.evaluation.results import RESULTS, SAMPLES
from vcore_verl.evaluation.standalone import output_of, recipe_of
from vcore_verl.runs.hashing import file_sha
from vcore_verl.runtime import hardware
from vcore_verl.runtime.process import Command

DATASET = "rl_prompts"
_FOLDER = "readiness"


def pool_command(
    checkpoint: Path, num_prompts: int, num_samples: int, recipe_name: str | None
) -> tuple[Path, Command | None]:
    """Folder of the pool, and the evaluation that draws it; None if it has been drawn.

    The prompts are the first of data/rl.parquet, a random order; decoding is that of the recipe's evaluations, without
    greedy answers. Raises `EvaluationError` for a checkpoint of no run without a recipe, and if there are no prompts.
    """
    recipe = load(recipe_name, []) if recipe_name else recipe_of(checkpoint)
    if recipe is None:
        raise EvaluationError(f"{checkpoint} is in no run: say with --recipe whose RL prompts and decoding to use")
    recipe = hardware.resolve(recipe)
    folder = _folder(checkpoint, recipe)
    prompts = _write_prompts(_rl_prompts(checkpoint, recipe), folder, num_prompts)
    sampling = replace(sampling_of(recipe), num_samples=num_samples, greedy=False)
    if _drawn(folder, checkpoint, sampling):
        return folder, None
    command = command_for(recipe, checkpoint, folder, {DATASET: prompts}, _FOLDER, sampling, log_probs=True)
    return folder, command


def read_pool(folder: Path) -> Pool:
    """The pool in `folder`; answers are equal as `reward.answers` says."""
    asked = pq.read_table(_prompts_file(folder), columns=["data_source"])["data_source"][0].as_py()
    same = domain_of(asked).same_answer
    rows = sorted(pq.read_table(folder / SAMPLES).to_pylist(), key=lambda row: (row["prompt_id"], row["sample_idx"]))
    prompts = [list(found) for _, found in groupby(rows, key=lambda row: row["prompt_id"])]

    def matrix(name: str) -> NDArray[np.float64]:
        return np.array([[row[name] for row in found] for found in prompts], dtype=np.float64)

    return Pool(
        correct_PS=matrix("score"),
        num_tokens_PS=matrix("num_tokens"),
        nll_PS=matrix("nll"),
        logit_norm_PS=matrix("logit_norm"),
        cluster_PS=np.array([_clusters(found, same) for found in prompts]),
    )


def _clusters(rows: list[dict[str, Any]], same: Callable[[str, str], bool]) -> list[int]:
    return clusters([row["extracted"] for row in rows], [row["score"] == 1 for row in rows], same)


def _folder(checkpoint: Path, recipe: Recipe) -> Path:
    """Beside the checkpoint of a run; for others below runs/evaluations."""
    return checkpoint.parent / _FOLDER if recipe_of(checkpoint) else output_of(checkpoint, recipe) / _FOLDER


def _rl_prompts(checkpoint: Path, recipe: Recipe) -> Path:
    places = [
        *(parent / "data" for parent in checkpoint.resolve().parents),
        Path(recipe.output_dir) / recipe.name / "data",
    ]
    found = (place / "rl.parquet" for place in places if (place / "rl.parquet").is_file())
    path = next(found, None)
    if path is None:
        raise EvaluationError(f"{places[-1]}/rl.parquet does not exist: prepare it with the verb data {recipe.name}")
    return path


def _write_prompts(source: Path, folder: Path, count: int) -> Path:
    path, rows = _prompts_file(folder), pq.read_table(source).slice(0, count).to_pylist()
    if len(rows) < count:
        raise EvaluationError(f"{source} has {len(rows)} prompts: set --prompts to {len(rows)} or less")
    write_rows(path, rows)
    return path


def _prompts_file(folder: Path) -> Path:
    return folder / f"{DATASET}.parquet"


def _drawn(folder: Path, checkpoint: Path, sampling: Sampling) -> bool:
    """Whether `folder` has the finished pool of this checkpoint by this sampling, with as many prompts."""
    if not (folder / RESULTS).is_file() or not (folder / SAMPLES).is_file():
        return False
    results = json.loads((folder / RESULTS).read_text())
    found = results["sampling"], results["checkpoint_sha"], results["samples_sha256"]
    num_prompts = results["datasets"][DATASET]["num_prompts"]
    expected = asdict(sampling), checkpoint_hash(checkpoint), file_sha(folder / SAMPLES)
    return found == expected and num_prompts == pq.read_metadata(_prompts_file(folder)).num_rows
