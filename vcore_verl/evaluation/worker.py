"""One vLLM engine that generates its share of the responses: `python -m vcore_verl.evaluation.worker FOLDER INDEX`.

Reads FOLDER/job.json and writes FOLDER/responses-INDEX.jsonl. The process exits when its standard input is closed, that
is, when the evaluation that started it has ended.
"""

import json
import math
import os
import sys
import threading
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from vllm import LLM, CompletionOutput, RequestOutput, SamplingParams
from vllm.inputs import TokensPrompt

from vcore_verl.config.errors import InputError
from vcore_verl.data.rendering import render_prompt
from vcore_verl.evaluation.job import JOB, Job
from vcore_verl.evaluation.prompts import read_prompts
from vcore_verl.evaluation.responses import (
    GREEDY,
    SAMPLE,
    Request,
    Response,
    drop_partial_line,
    file_of,
    read_all,
    requests,
)

# As in verl's rollouts. vLLM's default on a large GPU is 1,024, but it samples seeded responses one after another
# (vllm/v1/sample/ops/topk_topp_sampler.py), which takes longer than a small model's forward pass.
_MAX_SEQUENCES = 256
_MAX_CPU_CACHE_BYTES = 4 << 30
_CPU_BLOCK_TOKENS = 128  # vllm/platforms/cpu.py:120


def main(folder: Path, index: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = Job.read(folder / JOB)
    prompts = read_prompts(job.datasets)[index :: job.workers]
    done = {response.key for response in read_all(folder)}
    open_requests = [request for request in requests(prompts, job.sampling) if request.key not in done]
    if open_requests:
        tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
        rendered = {prompt.key: render_prompt(tokenizer, prompt.messages) for prompt in prompts}
        token_ids = {key: tokenizer.encode(text, add_special_tokens=False) for key, text in rendered.items()}
        longest = max(map(len, token_ids.values())) + job.sampling.max_tokens
        engine = LLM(job.checkpoint, max_model_len=longest, **engine_options(job, longest))
        generate(engine, job, open_requests, rendered, token_ids, file_of(folder, index))


def engine_options(job: Job, longest: int) -> dict[str, Any]:
    """vLLM options. On a CPU start-up dominates: no compilation, and a key-value cache no larger than needed.

    vLLM's default cache on a CPU is gigabytes, all zeroed at start-up (measured: 3 s per GiB).
    """
    if job.device == "cuda":
        return {"dtype": job.dtype, "tensor_parallel_size": job.tensor_parallel, "max_num_seqs": _MAX_SEQUENCES}
    config = json.loads((Path(job.checkpoint) / "config.json").read_text())
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    bytes_per_token = 2 * config["num_hidden_layers"] * kv_heads * head_dim * (4 if job.dtype == "float32" else 2)
    blocks = _MAX_SEQUENCES * -(-longest // _CPU_BLOCK_TOKENS)
    return {
        "dtype": job.dtype,
        "enforce_eager": True,
        # Chunked prefill rewinds a seeded request's generator after each chunk but the last, which CPU generators do
        # not support (vllm/v1/worker/gpu_model_runner.py:3750).
        "enable_chunked_prefill": False,
        "max_num_seqs": _MAX_SEQUENCES,
        "kv_cache_memory_bytes": min(blocks * _CPU_BLOCK_TOKENS * bytes_per_token, _MAX_CPU_CACHE_BYTES),
    }


def generate(
    engine: LLM,
    job: Job,
    open_requests: list[Request],
    rendered: dict[tuple[str, str], str],
    token_ids: dict[tuple[str, str], list[int]],
    path: Path,
) -> None:
    """Generate all responses and append each as soon as it is finished: no batch waits for its longest response.

    Greedy responses are generated first, separately: on a CPU vLLM ignores the seeds of a batch unless every response
    in it has one (vllm/v1/sample/ops/topk_topp_sampler.py:203), and greedy ones have none.
    """
    drop_partial_line(path)
    core = engine.llm_engine
    with path.open("a") as file:
        for decoding in (GREEDY, SAMPLE):
            chosen = {str(index): item for index, item in enumerate(open_requests) if item.decoding == decoding}
            for name, request in chosen.items():
                prompt = TokensPrompt(prompt_token_ids=token_ids[request.prompt.key])
                core.add_request(name, prompt, _params(job, request))
            while core.has_unfinished_requests():
                finished = [output for output in core.step() if isinstance(output, RequestOutput) and output.finished]
                for output in finished:
                    request, completion = chosen[output.request_id], output.outputs[0]
                    response = Response(
                        *request.key,
                        seed=request.seed,
                        prompt=rendered[request.prompt.key],
                        response=completion.text,
                        finish_reason=str(completion.finish_reason),
                        num_tokens=len(completion.token_ids),
                        **(_log_probs(completion) if job.log_probs else {}),
                    )
                    file.write(response.to_line())
                    file.flush()


def _params(job: Job, request: Request) -> SamplingParams:
    sampling = job.sampling
    common: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "logprobs": 0 if job.log_probs else None,
    }  # 0: of the token alone
    if request.decoding == GREEDY:
        return SamplingParams(temperature=0.0, **common)
    return SamplingParams(temperature=sampling.temperature, top_p=sampling.top_p, seed=request.seed, **common)


def _log_probs(completion: CompletionOutput) -> dict[str, Any]:
    """`nll` and `logit_norm` of a response."""
    by_token: list[Any] = list(completion.logprobs or [])  # token -> log-probability, at each position
    found = [step[token].logprob for token, step in zip(completion.token_ids, by_token, strict=True)]
    squares = (math.expm1(min(0.0, value)) ** 2 for value in found)
    return {"nll": -sum(found), "logit_norm": math.sqrt(sum(squares))}


def _end_with_parent() -> None:
    os.read(0, 1)  # blocks until the other end closes; unlike sys.stdin, takes no lock that a normal exit waits for
    os._exit(1)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except InputError as error:
        sys.exit(f"evaluation: {error}")
