"""Writes the evaluation sets of a run, separately from its training data, which a change of sets leaves untouched.

`test_sets.json` is written last and marks the sets as complete. Imports no torch.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from vcore_verl.config.recipe import Recipe
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import prepare
from vcore_verl.data.published import mirror_folder
from vcore_verl.data.rows import write_rows
from vcore_verl.runs.hashing import file_sha, write_whole
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import MetricsFile

RECORD, PROGRESS = "test_sets.json", "test_sets.jsonl"


def prepare_test_sets(recipe: Recipe, run: Run, made: Mapping[str, list[dict[str, Any]]]) -> None:
    """Write every set of `evaluation.datasets`: the rows in `made`, or a published benchmark.

    Raises `DataError` for a benchmark that is unavailable or malformed.
    """
    run.data.mkdir(parents=True, exist_ok=True)
    (run.data / RECORD).unlink(missing_ok=True)
    mirror, names = mirror_folder(recipe.data.mirror), recipe.evaluation.datasets
    record = {}
    progress = MetricsFile(run.data / PROGRESS, len(names))
    for step, name in enumerate(names, start=1):
        path = run.data / f"{name}.parquet"
        if name in made:
            write_rows(path, made[name])
        else:
            prepare(BENCHMARKS[name], path, mirror=mirror, max_prompts=recipe.evaluation.max_prompts)
        record[name] = {"rows": pq.read_metadata(path).num_rows, "sha256": file_sha(path)}
        progress.log({}, step)
    write_whole(run.data / RECORD, json.dumps(record, indent=2) + "\n")
