"""A short form of `smollm2_135m` on the real weights, from the package to the report: two steps of SFT, one of RL."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.preflight.doctor.machine import cpu_flags
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import read

pytestmark = pytest.mark.e2e

SHORTER = [
    *(["model.dtype=float32"] if "avx512bw" not in cpu_flags() else []),
    "hardware.device=cpu",
    "gpus=1",
    "data.num_sft=8",
    "data.num_rl=8",
    "data.num_test=4",
    "data.max_prompt_tokens=200",
    "data.cutoff_tokens=256",
    "init.probe.batch_size=4",
    "sft.steps=2",
    "sft.batch_size=4",
    "rl.steps=1",
    "rl.prompts_per_step=4",
    "rl.samples_per_prompt=2",
    "rl.mini_batch_prompts=4",
    "rl.max_response_tokens=32",
    "rl.learning_rate=1e-4",
    "rl.warmup_ratio=0",
    "rl.entropy_coef=0.01",  # a gradient even where no response is right
    "rl.verl.actor_rollout_ref.rollout.calculate_log_probs=true",
    "evaluation.num_samples=1",
    "evaluation.greedy=false",
    "evaluation.max_tokens=32",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    overrides = [*SHORTER, f"output_dir={tmp_path_factory.mktemp('runs')}"]
    command = [sys.executable, "-m", "vcore_verl", "run", "smollm2_135m", *overrides]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(load("smollm2_135m", overrides))


def embeddings(checkpoint: Path) -> torch.Tensor:
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).model.embed_tokens.weight


def test_each_training_starts_where_the_last_one_ended_and_changes_the_weights(run):
    base, sft, rl = (embeddings(path) for path in (run.base_hf, run.sft_hf, run.rl_hf))
    assert base.shape == (49_152, 576)
    assert not torch.equal(base, sft)
    assert not torch.equal(sft, rl)


def test_the_pretrained_model_knows_the_language_of_the_traces(run):
    losses = [line["train/loss"] for line in read(run.sft / "metrics.jsonl")]
    assert len(losses) == 2
    assert max(losses) < 2  # nats a token; an untrained model has log(49,152) = 10.8


def test_rollouts_come_from_the_policy_that_is_trained(run):
    (step,) = read(run.rl / "metrics.jsonl")
    assert step["training/rollout_probs_diff_mean"] < 0.02  # both in the recipe's precision
    assert step["actor/grad_norm"] > 0


def test_the_report_has_both_test_sets(run):
    comparison = json.loads((run.report / "comparison.json").read_text())
    (arm,) = comparison["arms"]
    assert arm["datasets"].keys() == {"in_domain", "out_of_domain"}
