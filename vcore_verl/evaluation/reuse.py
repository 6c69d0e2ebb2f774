"""Reuses responses of a finished evaluation in another one, with more data sets. Imports no torch."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vcore_verl.evaluation.job import Job
from vcore_verl.evaluation.responses import Request, Response
from vcore_verl.evaluation.results import RESULTS, SAMPLES, made_by
from vcore_verl.runs.hashing import file_sha


def reusable(folder: Path, job: Job, checkpoint_sha: str, planned: list[Request]) -> list[Response]:
    """The responses in `folder` to `planned` requests with the same checkpoint, decoding, engine and device.

    They are graded again. A response is reused only if its prompt and accepted answer are unchanged.
    """
    if not (folder / RESULTS).is_file() or not (folder / SAMPLES).is_file():
        return []
    results = json.loads((folder / RESULTS).read_text())
    same = made_by(job, checkpoint_sha) | {"samples_sha256": file_sha(folder / SAMPLES)}
    if any(results.get(key) != value for key, value in same.items()):
        return []
    rows = {Response.of(row).key: row for row in pq.read_table(folder / SAMPLES).to_pylist()}
    return [Response.of(rows[item.key]) for item in planned if item.key in rows and _asks(rows[item.key], item)]


def _asks(row: dict[str, Any], item: Request) -> bool:
    asked = all(message["content"].strip() in row["prompt"] for message in item.prompt.messages)
    return asked and (row["gold"], row["seed"]) == (item.prompt.gold, item.seed)
