"""Responses of a finished evaluation that another one, on more data sets, need not generate again. Imports no torch."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vcore_verl.evaluation.job import Job
from vcore_verl.evaluation.responses import Request, Response
from vcore_verl.evaluation.results import RESULTS, SAMPLES, versions
from vcore_verl.runs.hashing import file_sha


def reusable(folder: Path, job: Job, checkpoint_sha: str, planned: list[Request]) -> list[Response]:
    """The responses in `folder` to `planned` requests, of the same checkpoint, decoding, engine and device.

    They are graded again. A prompt has to ask the same still, and to have the same answer.
    """
    if not (folder / RESULTS).is_file() or not (folder / SAMPLES).is_file():
        return []
    results = json.loads((folder / RESULTS).read_text())
    same = {
        "checkpoint_sha": checkpoint_sha,
        "sampling": asdict(job.sampling),
        "dtype": job.dtype,
        "device": job.device,
        "versions": versions(),
        "samples_sha256": file_sha(folder / SAMPLES),
    }
    if any(results.get(key) != value for key, value in same.items()):
        return []
    rows = {_key(row): row for row in pq.read_table(folder / SAMPLES).to_pylist()}
    return [_response(rows[item.key]) for item in planned if item.key in rows and _asks(rows[item.key], item)]


def _key(row: dict[str, Any]) -> tuple[str, str, str, int]:
    return row["dataset"], row["prompt_id"], row["decoding"], row["sample_idx"]


def _asks(row: dict[str, Any], item: Request) -> bool:
    asked = all(message["content"].strip() in row["prompt"] for message in item.prompt.messages)
    return asked and (row["gold"], row["seed"]) == (item.prompt.gold, item.seed)


def _response(row: dict[str, Any]) -> Response:
    return Response(*_key(row), row["seed"], row["prompt"], row["response"], row["finish_reason"], row["num_tokens"])
