"""Writes the evaluation sets of a run, separately from its training data, which a change of sets leaves untouched.

`test_sets.json` is written last and marks the sets as complete. It counts, by reason, the problems of a set that no
response can solve here. Imports no torch.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from vcore_verl.config.recipe import Recipe
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import prepare
from vcore_verl.data.progress import Progress
from vcore_verl.data.rows import write_rows
from vcore_verl.runs.hashing import file_sha, write_whole
from vcore_verl.runs.layout import Run

RECORD, PROGRESS = "test_sets.json", "test_sets.jsonl"


def prepare_test_sets(recipe: Recipe, run: Run, made: Mapping[str, list[dict[str, Any]]]) -> None:
    """Write every set of `evaluation.datasets`: the rows in `made`, or a published benchmark.

    Raises `DataError` for a benchmark that is unavailable or malformed.
    """
    run.data.mkdir(parents=True, exist_ok=True)
    (run.data / RECORD).unlink(missing_ok=True)
    record: dict[str, dict[str, Any]] = {}
    names = recipe.evaluation.datasets
    progress = Progress(run.data / PROGRESS, sum(1 if name in made else BENCHMARKS[name].size for name in names))
    for name in names:
        path, unjudged = run.data / f"{name}.parquet", Counter[str]()
        if name in made:
            write_rows(path, made[name])
            progress.row()
        else:
            unjudged = prepare(BENCHMARKS[name], path, recipe, progress.row)
        record[name] = {"rows": pq.read_metadata(path).num_rows, "sha256": file_sha(path)}
        record[name] |= {"unjudged": dict(unjudged)} if unjudged else {}
    progress.end()
    write_whole(run.data / RECORD, json.dumps(record, indent=2) + "\n")
