"""Runs one evaluation: starts the workers, grades responses while they generate, writes the results.

Imports no torch.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vcore_verl.evaluation.grading import Graded, Grader
from vcore_verl.evaluation.job import JOB, EvaluationError, Job
from vcore_verl.evaluation.prompts import read_prompts
from vcore_verl.evaluation.responses import Key, Request, Response, file_of, read_all, requests
from vcore_verl.evaluation.results import RESULTS, write_results
from vcore_verl.evaluation.reuse import reusable
from vcore_verl.runs.hashing import file_sha
from vcore_verl.runs.metrics_file import GrowingFile, MetricsFile

PROGRESS = "progress.jsonl"
_PARTIAL = "partial"  # responses of an unfinished evaluation
_FORMER = "responses-former.jsonl"  # reused responses, read like a worker's
_POLL_S = 0.5


def evaluate(job: Job, folder: Path) -> None:
    """Evaluate `job` into `folder`: samples.parquet and results.json, or neither.

    Responses in `folder/partial` from an interrupted evaluation of the same job are kept, those of another job deleted.
    Responses of a finished evaluation in `folder` that this job needs too are reused.
    Raises `EvaluationError` for a checkpoint or data set that cannot be evaluated, or if a worker exits early.
    """
    started = time.monotonic()
    checkpoint_sha = checkpoint_hash(Path(job.checkpoint))
    prompts = read_prompts(job.datasets)
    planned = requests(prompts, job.sampling)
    folder.mkdir(parents=True, exist_ok=True)
    former = reusable(folder, job, checkpoint_sha, planned)
    (folder / RESULTS).unlink(missing_ok=True)
    partial = _prepare(folder / _PARTIAL, job, checkpoint_sha)
    if former:
        (partial / _FORMER).write_text("".join(response.to_line() for response in former))
    options = {"jail": job.jail, "fusion_url": job.fusion_url}
    with Grader(prompts, job.reward_file, options) as grader, _workers(partial, job) as workers:
        graded, start_up_s = _collect(partial, planned, workers, grader, MetricsFile(folder / PROGRESS, len(planned)))
    write_results(folder, job, checkpoint_sha, graded)
    shutil.rmtree(partial)
    seconds = time.monotonic() - started
    print(f"evaluated {len(graded)} responses in {seconds:.1f} s, {start_up_s:.1f} s of it start-up", flush=True)


def checkpoint_hash(checkpoint: Path) -> str:
    """Hash of weights, configuration and tokenizer. Raises `EvaluationError` if there is no Hugging Face checkpoint."""
    if not (checkpoint / "config.json").is_file():
        raise EvaluationError(f"{checkpoint} is not a Hugging Face checkpoint: it has no config.json")
    digest = hashlib.sha256()
    for path in sorted(checkpoint.iterdir()):
        if path.suffix in (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt"):
            digest.update(path.name.encode() + file_sha(path).encode())
    return digest.hexdigest()[:16]


def _prepare(partial: Path, job: Job, checkpoint_sha: str) -> Path:
    """Create the folder for unfinished work; delete its content if that belongs to another job."""
    data_shas = {name: file_sha(Path(path)) for name, path in job.datasets.items()}
    identity = json.dumps([checkpoint_sha, data_shas, vars(job.sampling), job.dtype], sort_keys=True)
    marker = partial / "identity.json"
    if partial.exists() and not (marker.exists() and marker.read_text() == identity):
        shutil.rmtree(partial)
    partial.mkdir(exist_ok=True)
    marker.write_text(identity)
    (partial / JOB).write_text(job.to_json())
    return partial


@contextmanager
def _workers(partial: Path, job: Job) -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "vcore_verl.evaluation.worker", str(partial), str(index)],
            stdin=subprocess.PIPE,  # closed when this process ends for any reason; the worker then exits
            env=_worker_environment(job, index),
        )
        for index in range(job.workers)
    ]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()
            worker.wait()


def _worker_environment(job: Job, index: int) -> dict[str, str]:
    # `kv_cache_memory_bytes` sizes the cache; this variable would override it (vllm/platforms/cpu.py:139).
    inherited = {name: value for name, value in os.environ.items() if name != "VLLM_CPU_KVCACHE_SPACE"}
    inherited |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    if job.device == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        shared = job.tensor_parallel
        devices = visible.split(",") if visible else [str(number) for number in range(job.workers * shared)]
        return inherited | {"CUDA_VISIBLE_DEVICES": ",".join(devices[index * shared : (index + 1) * shared])}
    return inherited | {
        # In-process engine: each further process would import torch and vLLM again (measured: 18 s against 4 s).
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // job.workers)),
        # With few cores, threads that spin while waiting starve the other processes (measured: 28 s against 3 s).
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _collect(
    partial: Path, planned: list[Request], workers: list[subprocess.Popen[bytes]], grader: Grader, progress: MetricsFile
) -> tuple[list[Graded], float]:
    """All responses, graded as they arrive, and the seconds until the first. A `progress` step is one graded response.

    Raises `EvaluationError` if a worker exits early.
    """
    started, start_up_s, new_tokens = time.monotonic(), 0.0, 0
    graded: dict[Key, Graded] = {}
    resumed = {response.key for response in read_all(partial)}
    # Files of these workers, and of an earlier attempt, which may have had more workers.
    paths = {file_of(partial, index) for index in range(len(workers))} | set(partial.glob("responses-*.jsonl"))
    files = [GrowingFile(path) for path in sorted(paths)]
    while len(graded) < len(planned):
        codes = [worker.poll() for worker in workers]
        before = len(graded)
        for file in files:
            for item in grader.grade(map(Response.of, file.new_lines())):
                graded[item.response.key] = item
                new_tokens += 0 if item.response.key in resumed else item.response.num_tokens
        if len(graded) > before:
            elapsed = time.monotonic() - started
            start_up_s = start_up_s or elapsed
            tokens_per_s = round(new_tokens / max(_POLL_S, elapsed - start_up_s))
            accuracy = round(sum(item.score for item in graded.values()) / len(graded), 4)
            progress.log({"tokens_per_s": tokens_per_s, "accuracy": accuracy}, len(graded))
        elif any(codes):
            raise EvaluationError(f"a vLLM worker ended with exit code {next(filter(None, codes))}; its log says why")
        elif all(code == 0 for code in codes):
            raise EvaluationError(f"the workers ended after {before} of {len(planned)} responses")
        else:
            time.sleep(_POLL_S)
    return list(graded.values()), start_up_s
