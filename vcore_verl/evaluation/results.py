"""samples.parquet and results.json of one evaluation. Imports no torch.

Both are written when the evaluation is complete, results.json last: if it exists, the evaluation is complete.
"""

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import reward
from vcore_verl.config.versions import package_version
from vcore_verl.evaluation.grading import OTHER_GRADERS, Graded, grader_version
from vcore_verl.evaluation.job import Job
from vcore_verl.evaluation.responses import GREEDY, SAMPLE
from vcore_verl.evaluation.statistics import Estimate, mean_interval, pass_at_k, powers_of_two
from vcore_verl.runs.hashing import file_sha, replacement, write_whole

SCHEMA_VERSION = 2
RESULTS, SAMPLES = "results.json", "samples.parquet"
TRUNCATED = "length"  # vLLM's finish_reason of a response that reached max_tokens
_NUMBERS = {
    **{"sample_idx": pa.int32(), "seed": pa.int64(), "num_tokens": pa.int32()},
    **dict.fromkeys(("score", "nll", "logit_norm", *OTHER_GRADERS), pa.float64()),
}


def write_results(folder: Path, job: Job, checkpoint_sha: str, graded: list[Graded]) -> None:
    """Write both files for a complete evaluation."""
    rows: list[dict[str, Any]] = []
    datasets = {}
    grader = grader_version({reward.domain_of(item.prompt.data_source).name for item in graded}, job.reward_file)
    of_all = {"stage": job.stage, "checkpoint_sha": checkpoint_sha, "grader_version": grader}
    for name in job.datasets:
        items = sorted((item for item in graded if item.prompt.dataset == name), key=lambda item: item.response.key)
        of_set = {"dataset_sha": _prompts_sha(items)}
        rows += (of_all | of_set | _row(item) for item in items)
        domain = reward.domain_of(items[0].prompt.data_source)
        unjudged = {item.prompt.key for item in items if not domain.judged(item.prompt.gold)}
        judged = {"unjudged": len(unjudged)} if unjudged else {}
        made = _summary(items) | _decontaminated(name, job.checkpoint)
        datasets[name] = of_set | {"domain": domain.name} | judged | made
    schema = pa.schema({name: _NUMBERS.get(name, pa.string()) for name in rows[0]})
    with replacement(folder / SAMPLES) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema), partial, compression="zstd")
    results = {
        "schema_version": SCHEMA_VERSION,
        "checkpoint": job.checkpoint,
        **of_all,
        **made_by(job, checkpoint_sha),
        "samples_sha256": file_sha(folder / SAMPLES),
        "datasets": datasets,
    }
    write_whole(folder / RESULTS, json.dumps(results, indent=1) + "\n")


def made_by(job: Job, checkpoint_sha: str) -> dict[str, Any]:
    """What determines the response to a prompt, as in results.json."""
    versions = {name: package_version(name) for name in ("vllm", "torch", "transformers", "math-verify")}
    return {
        "checkpoint_sha": checkpoint_sha,
        "sampling": asdict(job.sampling),
        "dtype": job.dtype,
        "device": job.device,
        "versions": {name: found for name, found in versions.items() if found},
    }


def _row(item: Graded) -> dict[str, Any]:
    verdict = {"score": item.score, "status": item.status, "extracted": item.extracted}
    verdict |= {name: getattr(item, name) for name in OTHER_GRADERS}
    response = {name: value for name, value in asdict(item.response).items() if value is not None}
    return response | {"gold": item.prompt.gold} | verdict


def _prompts_sha(graded: list[Graded]) -> str:
    """Hash of ids, rendered prompts (which include the chat template) and accepted answers."""
    asked = {(item.prompt.prompt_id, item.response.prompt, item.prompt.gold) for item in graded}
    return hashlib.sha256(json.dumps(sorted(asked)).encode()).hexdigest()[:16]


def _decontaminated(name: str, checkpoint: str) -> dict[str, bool]:
    """Whether the problems of data set `name` were excluded from the training data of the checkpoint's run.

    Empty for a checkpoint that belongs to no run.
    """
    records = (parent / "data" / "data.json" for parent in Path(checkpoint).resolve().parents)
    record = next((path for path in records if path.is_file()), None)
    left_out = json.loads(record.read_text()).get("decontaminated") if record else None
    return {} if left_out is None else {"decontaminated": name in left_out}


def _summary(graded: list[Graded]) -> dict[str, Any]:
    """The metrics of one data set from responses sorted by key; statuses, tokens and truncation are of the samples."""
    greedy, samples = ([item for item in graded if item.response.decoding == kind] for kind in (GREEDY, SAMPLE))
    prompts = [list(items) for _, items in groupby(samples, key=lambda item: item.prompt.key)]
    num_samples = len(prompts[0])
    num_correct = [sum(item.score for item in items) for items in prompts]
    summary = {
        "num_prompts": len(prompts),
        "num_samples": num_samples,
        "avg_at_n": _figure(mean_interval([correct / num_samples for correct in num_correct])),
        "pass_at_k": {
            str(k): _figure(mean_interval(pass_at_k(num_correct, num_samples, k))) for k in powers_of_two(num_samples)
        },
        **_other_graders(samples),
        **_counts(samples),
    }
    if greedy:
        summary["greedy"] = (
            _figure(mean_interval([item.score for item in greedy])) | _other_graders(greedy) | _counts(greedy)
        )
    return summary


def _other_graders(graded: list[Graded]) -> dict[str, Any]:
    """Accuracy by other graders on the same responses; empty where they do not apply."""
    if graded[0].math_verify is None:
        return {}
    prompts = [list(items) for _, items in groupby(graded, key=lambda item: item.prompt.key)]
    figures = {
        name: _figure(mean_interval([fmean(getattr(item, name) for item in items) for items in prompts]))
        for name in OTHER_GRADERS
    }
    return {"other_graders": figures}


def _counts(graded: list[Graded]) -> dict[str, Any]:
    counts, domain = Counter(item.status for item in graded), reward.domain_of(graded[0].prompt.data_source)
    return {
        "status_counts": {status: counts[status] for status in domain.statuses},
        "mean_tokens": sum(item.response.num_tokens for item in graded) / len(graded),
        "truncated_frac": sum(item.response.finish_reason == TRUNCATED for item in graded) / len(graded),
    }


def _figure(estimate: Estimate) -> dict[str, Any]:
    return {"mean": estimate.mean, "ci95": [estimate.low, estimate.high]}
