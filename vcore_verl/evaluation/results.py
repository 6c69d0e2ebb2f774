"""samples.parquet and results.json of one evaluation. Imports no torch.

Both are written when the evaluation is complete, results.json last: where it lies, the evaluation is whole.
"""

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import reward
from vcore_verl.config.versions import package_version
from vcore_verl.evaluation.grading import Graded, grader_version
from vcore_verl.evaluation.job import Job
from vcore_verl.evaluation.responses import GREEDY, SAMPLE
from vcore_verl.evaluation.statistics import Estimate, bootstrap_mean, mean_interval, pass_at_k, powers_of_two
from vcore_verl.runs.hashing import file_sha, replacement, write_whole

SCHEMA_VERSION = 1
RESULTS, SAMPLES = "results.json", "samples.parquet"
TRUNCATED = "length"  # vLLM's finish_reason of a response that reached max_tokens

_SCHEMA = pa.schema(
    [
        ("stage", pa.string()),
        ("checkpoint_sha", pa.string()),
        ("dataset", pa.string()),
        ("dataset_sha", pa.string()),
        ("prompt_id", pa.string()),
        ("decoding", pa.string()),
        ("sample_idx", pa.int32()),
        ("seed", pa.int64()),
        ("prompt", pa.string()),
        ("response", pa.string()),
        ("gold", pa.string()),
        ("extracted", pa.string()),
        ("score", pa.float64()),
        ("status", pa.string()),
        ("finish_reason", pa.string()),
        ("num_tokens", pa.int32()),
        ("grader_version", pa.string()),
    ]
)


def write_results(folder: Path, job: Job, checkpoint_sha: str, graded: list[Graded]) -> None:
    """Write both files for a complete evaluation."""
    rows = _rows(job, checkpoint_sha, graded)
    with replacement(folder / SAMPLES) as partial:
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), partial, compression="zstd")
    results = {
        "schema_version": SCHEMA_VERSION,
        "stage": job.stage,
        "checkpoint": job.checkpoint,
        "checkpoint_sha": checkpoint_sha,
        "sampling": asdict(job.sampling),
        "dtype": job.dtype,
        "device": job.device,
        "grader_version": grader_version(),
        "versions": versions(),
        "samples_sha256": file_sha(folder / SAMPLES),
        "datasets": {
            name: summarise([row for row in rows if row["dataset"] == name]) | _decontaminated(name, job.checkpoint)
            for name in job.datasets
        },
    }
    write_whole(folder / RESULTS, json.dumps(results, indent=1) + "\n")


def _decontaminated(name: str, checkpoint: str) -> dict[str, bool]:
    """Whether the training data of the run that `checkpoint` belongs to leave out the problems of a data set.

    Nothing for a checkpoint from elsewhere.
    """
    records = (parent / "data" / "data.json" for parent in Path(checkpoint).resolve().parents)
    record = next((path for path in records if path.is_file()), None)
    left_out = json.loads(record.read_text()).get("decontaminated") if record else None
    return {} if left_out is None else {"decontaminated": name in left_out}


def _rows(job: Job, checkpoint_sha: str, graded: list[Graded]) -> list[dict[str, Any]]:
    by_dataset = {name: [item for item in graded if item.prompt.dataset == name] for name in job.datasets}
    shas = {name: _prompts_sha(items) for name, items in by_dataset.items()}
    grader = grader_version()
    return [
        {
            "stage": job.stage,
            "checkpoint_sha": checkpoint_sha,
            "dataset": name,
            "dataset_sha": shas[name],
            "prompt_id": item.prompt.prompt_id,
            "decoding": item.response.decoding,
            "sample_idx": item.response.sample_idx,
            "seed": item.response.seed,
            "prompt": item.response.rendered_prompt,
            "response": item.response.text,
            "gold": item.prompt.gold,
            "extracted": item.extracted,
            "score": item.score,
            "status": item.status,
            "finish_reason": item.response.finish_reason,
            "num_tokens": item.response.num_tokens,
            "grader_version": grader,
        }
        for name, items in by_dataset.items()
        for item in sorted(items, key=lambda item: item.response.key)
    ]


def _prompts_sha(graded: list[Graded]) -> str:
    """Of what was asked: ids, prompts as the model saw them (so the chat template too), accepted answers."""
    asked = {(item.prompt.prompt_id, item.response.rendered_prompt, item.prompt.gold) for item in graded}
    return hashlib.sha256(json.dumps(sorted(asked)).encode()).hexdigest()[:16]


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one data set, from rows of samples.parquet; statuses, tokens and truncation are the samples'."""
    samples = [row for row in rows if row["decoding"] == SAMPLE]
    greedy = [row for row in rows if row["decoding"] == GREEDY]
    scores = scores_of_prompt(samples)
    num_samples = len(next(iter(scores.values())))
    num_correct = [sum(values) for values in scores.values()]
    summary = {
        "num_prompts": len(scores),
        "num_samples": num_samples,
        "dataset_sha": rows[0]["dataset_sha"],
        "avg_at_n": _figure(mean_interval([sum(values) / num_samples for values in scores.values()])),
        "pass_at_k": {
            str(k): _figure(bootstrap_mean(pass_at_k(num_correct, num_samples, k))) for k in powers_of_two(num_samples)
        },
        **_counts(samples),
    }
    if greedy:
        greedy_scores = [row["score"] for row in greedy]
        summary["greedy"] = _figure(mean_interval(greedy_scores)) | _counts(greedy)
    return summary


def scores_of_prompt(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """prompt_id -> scores in order of sample_idx, prompts in order of their ids."""
    scores: dict[str, list[float]] = {}
    for row in sorted(rows, key=lambda row: (row["prompt_id"], row["sample_idx"])):
        scores.setdefault(row["prompt_id"], []).append(row["score"])
    return scores


def _counts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    statuses = Counter(row["status"] for row in rows)
    return {
        "status_counts": {status: statuses[status] for status in reward.STATUSES},
        "mean_tokens": sum(row["num_tokens"] for row in rows) / len(rows),
        "truncated_frac": sum(row["finish_reason"] == TRUNCATED for row in rows) / len(rows),
    }


def _figure(estimate: Estimate) -> dict[str, Any]:
    return {"mean": estimate.mean, "ci95": [estimate.low, estimate.high]}


def versions() -> dict[str, str]:
    return {
        name: found for name in ("vllm", "torch", "transformers", "math-verify") if (found := package_version(name))
    }
