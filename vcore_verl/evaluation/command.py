"""Recipe -> the command line of an evaluation, and verification of its results. Imports neither torch nor vLLM."""

import json
import os
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from vcore_verl.config.recipe import Recipe
from vcore_verl.cpu import device_environment
from vcore_verl.evaluation.evaluate import PROGRESS
from vcore_verl.evaluation.grading import domains_of, grader_version
from vcore_verl.evaluation.job import JOB, Job, Sampling
from vcore_verl.evaluation.results import RESULTS, SAMPLES, SCHEMA_VERSION
from vcore_verl.runs.hashing import file_sha
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.runtime.process import Command

Stage = Literal["base", "pre_rl", "post_rl"]


def evaluate_command(recipe: Recipe, run: Run, stage: Stage) -> Command:
    """The evaluation of the stage's checkpoint on the recipe's data sets."""
    checkpoint = {"base": run.base_hf, "pre_rl": run.rl_start, "post_rl": run.rl_hf}[stage]
    return command_for(recipe, checkpoint, _folder(run, stage), dataset_files(recipe, run), stage)


def command_for(
    recipe: Recipe,
    checkpoint: Path,
    folder: Path,
    files: dict[str, Path],
    stage: str,
    sampling: Sampling | None = None,
    log_probs: bool = False,
) -> Command:
    """`python -m vcore_verl.evaluation` with `sampling`, by default the recipe's; the results go to `folder`."""
    job = Job(
        stage=stage,
        checkpoint=str(checkpoint),
        datasets={name: str(path.resolve()) for name, path in files.items()},
        sampling=sampling or sampling_of(recipe),
        dtype=recipe.model.dtype,
        device=recipe.hardware.device,
        workers=num_workers(recipe),
        tensor_parallel=recipe.hardware.tensor_parallel if recipe.hardware.device == "cuda" else 1,
        reward_file=recipe.reward_file,
        jail=recipe.code.jail,
        fusion_url=recipe.code.fusion_url,
        log_probs=log_probs,
    )
    # A data set that has not been prepared yet counts as `data.num_test` rows.
    rows = [pq.read_metadata(path).num_rows if path.is_file() else recipe.data.num_test for path in files.values()]
    return Command(
        argv=[sys.executable, "-m", "vcore_verl.evaluation", str(folder / JOB)],
        env=device_environment(recipe.hardware.device),
        progress=folder / PROGRESS,
        total=sum(rows) * job.sampling.responses_per_prompt,
        unit="response",
        files={folder / JOB: job.to_json()},
    )


def verify_evaluation(recipe: Recipe, run: Run, stage: Stage) -> None:
    """Raise `ArtefactError` unless the stage's evaluation is complete, unmodified, and has this recipe's settings."""
    verify_results(recipe, _folder(run, stage), dataset_files(recipe, run))


def verify_results(recipe: Recipe, folder: Path, files: dict[str, Path]) -> None:
    """Raise `ArtefactError` unless `folder` has a complete, unmodified evaluation on `files` with this recipe's
    settings.
    """
    path, samples = folder / RESULTS, folder / SAMPLES
    if not path.is_file():
        raise ArtefactError(f"{path} is missing: the evaluation did not finish")
    results = json.loads(path.read_text())
    if results.get("schema_version") != SCHEMA_VERSION:
        raise ArtefactError(f"{path} has schema version {results.get('schema_version')}, expected {SCHEMA_VERSION}")
    if not samples.is_file() or file_sha(samples) != results["samples_sha256"]:
        raise ArtefactError(f"{samples} is not the file that {RESULTS} was made from")
    if results["grader_version"] != grader_version(domains_of(files.values()), recipe.reward_file):
        raise ArtefactError(f"{path} was graded by another version of reward/ or another reward_file")
    if results["sampling"] != asdict(sampling_of(recipe)):
        raise ArtefactError(f"{path} was made with other sampling settings than the recipe's")
    for name, file in files.items():
        found = results["datasets"].get(name, {}).get("num_prompts", 0)
        if found != (expected := pq.read_metadata(file).num_rows):
            raise ArtefactError(f"{path} covers {found} of {expected} prompts of '{name}'")


def sampling_of(recipe: Recipe) -> Sampling:
    return Sampling(**{field.name: getattr(recipe.evaluation, field.name) for field in fields(Sampling)})


def dataset_files(recipe: Recipe, run: Run) -> dict[str, Path]:
    """Name -> parquet file in verl's RL row format."""
    return {name: run.data / f"{name}.parquet" for name in recipe.evaluation.datasets}


def num_workers(recipe: Recipe) -> int:
    """Number of vLLM engines on all GPUs of this node; on a CPU, at most one per core."""
    if recipe.hardware.device == "cuda":
        return recipe.hardware.gpus // recipe.hardware.tensor_parallel
    return min(recipe.hardware.gpus, os.cpu_count() or 1)


def _folder(run: Run, stage: Stage) -> Path:
    return {"base": run.eval_base, "pre_rl": run.eval_pre, "post_rl": run.eval_post}[stage]
