"""Runs one evaluation: starts the workers, grades what they write while they generate, writes the results.

Imports no torch.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vcore_verl.evaluation.grading import Graded, Grader
from vcore_verl.evaluation.job import JOB, EvaluationError, Job
from vcore_verl.evaluation.prompts import read_prompts
from vcore_verl.evaluation.responses import Request, Tail, file_of, read_all, requests
from vcore_verl.evaluation.results import RESULTS, write_results
from vcore_verl.evaluation.reuse import reusable
from vcore_verl.runs.hashing import file_sha
from vcore_verl.runs.metrics_file import MetricsFile

PROGRESS = "progress.jsonl"
_PARTIAL = "partial"  # responses of an evaluation under way
_FORMER = "responses-former.jsonl"  # read like a worker's
_POLL_S = 0.5


def evaluate(job: Job, folder: Path) -> None:
    """Evaluate `job` into `folder`: samples.parquet and results.json, or neither.

    What an interrupted evaluation of the same job left in `folder/partial` is kept; of another job, it is deleted.
    Of a finished evaluation in `folder` the responses that this job asks for too are taken.
    Raises `EvaluationError` for a checkpoint or data set that cannot be evaluated, or when a worker ends early.
    """
    started = time.monotonic()
    checkpoint_sha = checkpoint_hash(Path(job.checkpoint))
    prompts = read_prompts(job.datasets)
    planned = requests(prompts, job.sampling)
    folder.mkdir(parents=True, exist_ok=True)
    former = reusable(folder, job, checkpoint_sha, planned)
    (folder / RESULTS).unlink(missing_ok=True)
    partial = _prepare(folder / _PARTIAL, job, _identity(job, checkpoint_sha))
    if former:
        (partial / _FORMER).write_text("".join(response.to_line() for response in former))
    progress = Progress(folder / PROGRESS, len(planned))
    with Grader(prompts) as grader:
        workers = _start_workers(partial, job)
        try:
            graded = _collect(partial, planned, workers, grader, progress)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    write_results(folder, job, checkpoint_sha, graded)
    shutil.rmtree(partial)
    seconds = time.monotonic() - started
    print(
        f"evaluated {len(graded)} responses in {seconds:.1f} s, {progress.start_up_s:.1f} s of it start-up", flush=True
    )


def checkpoint_hash(checkpoint: Path) -> str:
    """Of weights, configuration and tokenizer. Raises `EvaluationError` where there is no Hugging Face checkpoint."""
    if not (checkpoint / "config.json").is_file():
        raise EvaluationError(f"{checkpoint} is not a Hugging Face checkpoint: it has no config.json")
    digest = hashlib.sha256()
    for path in sorted(checkpoint.iterdir()):
        if path.suffix in (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt"):
            digest.update(path.name.encode() + file_sha(path).encode())
    return digest.hexdigest()[:16]


def _identity(job: Job, checkpoint_sha: str) -> str:
    data_shas = {name: file_sha(Path(path)) for name, path in job.datasets.items()}
    return json.dumps([checkpoint_sha, data_shas, vars(job.sampling), job.dtype], sort_keys=True)


def _prepare(partial: Path, job: Job, identity: str) -> Path:
    marker = partial / "identity.json"
    if partial.exists() and not (marker.exists() and marker.read_text() == identity):
        shutil.rmtree(partial)
    partial.mkdir(exist_ok=True)
    marker.write_text(identity)
    (partial / JOB).write_text(job.to_json())
    return partial


class Progress:
    """Appends `{"step", "total", "tokens_per_s", "accuracy"}` lines; a step is one graded response.

    `start_up_s` is the time to the first one; tokens per second are those after it.
    """

    def __init__(self, path: Path, total: int):
        self._file = MetricsFile(path, total)
        self._started = time.monotonic()
        self.start_up_s = 0.0

    def write(self, graded: Sequence[Graded], new_tokens: int) -> None:
        elapsed = time.monotonic() - self._started
        self.start_up_s = self.start_up_s or elapsed
        line = {
            "tokens_per_s": round(new_tokens / max(_POLL_S, elapsed - self.start_up_s)),
            "accuracy": round(sum(item.score for item in graded) / len(graded), 4),
        }
        self._file.log(line, len(graded))


def _start_workers(partial: Path, job: Job) -> list[subprocess.Popen[bytes]]:
    return [
        subprocess.Popen(
            [sys.executable, "-m", "vcore_verl.evaluation.worker", str(partial), str(index)],
            stdin=subprocess.PIPE,  # closed when this process ends, however it ends: then the worker does too
            env=_worker_environment(job, index),
        )
        for index in range(job.workers)
    ]


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
        # In-process engine: each process more would import torch and vLLM again (measured: 18 s against 4 s).
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // job.workers)),
        # Threads that spin while they wait starve each other's process on few cores (measured: 28 s against 3 s).
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _collect(
    partial: Path,
    planned: list[Request],
    workers: list[subprocess.Popen[bytes]],
    grader: Grader,
    progress: Progress,
) -> list[Graded]:
    graded: dict[tuple[str, str, str, int], Graded] = {}
    resumed = {response.key for response in read_all(partial)}
    new_tokens = 0
    tails = [Tail(path) for path in _files(partial, len(workers))]
    while len(graded) < len(planned):
        codes = [worker.poll() for worker in workers]
        before = len(graded)
        for tail in tails:
            for item in grader.grade(tail.read()):
                graded[item.response.key] = item
                new_tokens += 0 if item.response.key in resumed else item.response.num_tokens
        if len(graded) > before:
            progress.write(list(graded.values()), new_tokens)
        elif any(codes):
            raise EvaluationError(f"a vLLM worker ended with exit code {next(filter(None, codes))}; its log says why")
        elif all(code == 0 for code in codes):
            raise EvaluationError(f"the workers ended after {before} of {len(planned)} responses")
        else:
            time.sleep(_POLL_S)
    return list(graded.values())


def _files(partial: Path, num_workers: int) -> list[Path]:
    """Files of these workers and of an earlier attempt's, of which there may have been more."""
    return sorted({file_of(partial, index) for index in range(num_workers)} | set(partial.glob("responses-*.jsonl")))
