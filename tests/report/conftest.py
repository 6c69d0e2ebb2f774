"""Runs on disk with chosen scores, written by the evaluation's own writer."""

import json

import numpy as np
import pytest

from vcore_verl.evaluation.grading import Graded
from vcore_verl.evaluation.job import Job, Sampling
from vcore_verl.evaluation.prompts import Prompt
from vcore_verl.evaluation.responses import Response, requests
from vcore_verl.evaluation.results import write_results

SAMPLING = Sampling(num_samples=4, temperature=1.0, top_p=1.0, max_tokens=64, seed=42, greedy=True)
DATASETS = ("in_domain", "out_of_domain")


def write_evaluation(
    folder, accuracy, *, stage="base", num_prompts=40, sampling=SAMPLING, question="{i}+{i}=?", datasets=DATASETS
):
    """One evaluation in which prompt i is solved with a chance of about `accuracy`."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(int(1000 * accuracy))
    graded = []
    for name in datasets:
        prompts = [
            Prompt(
                name,
                f"{name}-{i}",
                "vcore/arithmetic",
                [{"role": "user", "content": question.format(i=i)}],
                str(2 * i),
                {},
            )
            for i in range(num_prompts)
        ]
        for request in requests(prompts, sampling):
            correct = rng.random() < accuracy
            answer = request.prompt.gold if correct else "wrong"
            response = Response(
                *request.key,
                seed=request.seed,
                prompt=request.prompt.messages[0]["content"],
                response=f"\\boxed{{{answer}}}",
                finish_reason="length" if rng.random() < 0.1 else "stop",
                num_tokens=int(rng.integers(5, 50)),
            )
            graded.append(
                Graded(
                    request.prompt,
                    response,
                    float(correct),
                    "correct" if correct else "wrong",
                    answer,
                    float(correct),
                    1.0,
                )
            )
    job = Job(stage, "checkpoint", dict.fromkeys(datasets, ""), sampling, "float32", "cpu", 1)
    write_results(folder, job, "sha", graded)


def write_metrics(folder, key):
    folder.mkdir(parents=True)
    lines = [json.dumps({"step": step, "total": 5, key: 1.0 / step}) for step in range(1, 6)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture
def evaluation():
    return write_evaluation


@pytest.fixture
def base(tmp_path):
    """runs/<recipe> with nothing but the base model's evaluation."""
    root = tmp_path / "tiny"
    write_evaluation(root / "base" / "eval", 0.2)
    return root


@pytest.fixture
def arm(base):
    """Adds a run to it, with its SFT unless that is there; the folder of its last training."""

    def add(init, rl, pre=0.4, post=0.8, seed=0, **kwargs):
        home = base / init / f"seed{seed}"
        if init != "none" and not home.exists():
            write_evaluation(home / "eval", pre, stage="pre_rl", **kwargs)
            write_metrics(home / "sft", "train/plain_loss")
        if rl == "none":
            return home
        write_evaluation(home / rl / "eval", post, stage="post_rl", **kwargs)
        write_metrics(home / rl / "rl", "critic/score/mean")
        return home / rl

    return add
