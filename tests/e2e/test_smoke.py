"""The paper's recipes to the end on a CPU: their own stages, objective, LoRA and RL, on small untrained models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tensorboard import scalars
from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import read

pytestmark = pytest.mark.e2e

ARMS = {
    "qwen3_4b": ["scale=smoke", "tracking=[tensorboard]", "rl=nft", "gpus=2"],
    "llama31_8b": ["scale=smoke", "init=dft"],
}
ENDS = {"qwen3_4b": "<|im_end|>", "llama31_8b": "<|eot_id|>"}
OPENINGS = {
    "qwen3_4b": "<|im_start|>user\nYou are a helpful and accurate assistant",
    "llama31_8b": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date",
}
MINUTES = 60  # seconds


@pytest.fixture(scope="module", params=["qwen3_4b", pytest.param("llama31_8b", marks=pytest.mark.exhaustive)])
def arm(request, tmp_path_factory) -> tuple[str, Run]:
    """A recipe's name and its finished run."""
    overrides = [*ARMS[request.param], f"output_dir={tmp_path_factory.mktemp('runs')}"]
    command = [sys.executable, "-m", "vcore_verl", "run", request.param, *overrides]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=30 * MINUTES)
    assert done.returncode == 0, done.stdout + done.stderr
    return request.param, Run(load(request.param, overrides))


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).state_dict()


def test_every_stage_ended(arm):
    _, run = arm
    homes = (run.root, run.sft_home, run.rl_home, run.report)
    manifests = (json.loads((home / "manifest.json").read_text())["stages"] for home in homes)
    stages = {name: record for manifest in manifests for name, record in manifest.items()}
    assert {"base", "data", "sft", "export_sft", "rl", "export_rl", "evaluate_post_rl", "report"} <= stages.keys()
    assert {stage["status"] for stage in stages.values()} == {"done"}
    assert len(read(run.sft / "metrics.jsonl")) == run.recipe.sft.steps
    assert len(read(run.rl / "metrics.jsonl")) == run.recipe.rl.steps


def test_adapters_are_merged_and_rl_trains_every_parameter(arm):
    _, run = arm
    assert run.recipe.model.lora.rank > 0
    base, sft, rl = (weights(path) for path in (run.base_hf, run.sft_hf, run.rl_hf))
    assert base.keys() == sft.keys() == rl.keys()
    by_sft = {name for name in base if not torch.equal(base[name], sft[name])}
    assert by_sft == {name for name in base if name.endswith("_proj.weight")}
    by_rl = {name for name in base if not torch.equal(sft[name], rl[name])}
    assert "model.embed_tokens.weight" in by_rl
    assert by_sft <= by_rl


def test_checkpoints_stop_at_the_end_that_was_trained(arm):
    name, run = arm
    for checkpoint in (run.sft_hf, run.rl_hf):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        stops = json.loads((checkpoint / "generation_config.json").read_text())["eos_token_id"]
        assert tokenizer.convert_ids_to_tokens(stops[0]) == tokenizer.eos_token == ENDS[name]
        assert len(stops) > 1
        assert tokenizer.chat_template is not None
        assert "after RL" in (run.rl_hf / "README.md").read_text()


@pytest.mark.parametrize("stage", ["base", "pre_rl", "post_rl"])
def test_every_prompt_is_asked_as_the_paper_does_in_the_familys_template(arm, stage):
    name, run = arm
    folder = {"base": run.eval_base, "pre_rl": run.eval_pre, "post_rl": run.eval_post}[stage]
    samples = pq.read_table(folder / "samples.parquet").to_pylist()
    settings = run.recipe.evaluation
    assert {row["dataset"] for row in samples} == set(settings.datasets)
    prompts = {(row["dataset"], row["prompt_id"]) for row in samples}
    assert len(samples) == len(prompts) * (settings.num_samples + int(settings.greedy))
    for row in samples:
        assert row["prompt"].startswith(OPENINGS[name])
        assert "put the correct answer within \\boxed{} at last." in row["prompt"]


def test_tensorboard_has_every_step_and_every_evaluation_where_it_is_asked_for(arm):
    _, run = arm
    if not run.recipe.tracking:
        assert not list(run.root.glob("**/tensorboard"))
        return
    curves = ((run.sft, "train/loss"), (run.rl, "critic/score/mean"), (run.rl, "actor/pg_loss"))
    for folder, tag in curves:
        logged = {int(line["step"]): line[tag] for line in read(folder / "metrics.jsonl")}
        assert scalars(folder / "tensorboard", tag) == pytest.approx(logged)
    places = {"base": (0, run.eval_base), "pre_rl": (2, run.eval_pre), "post_rl": (2, run.eval_post)}
    for stage, (step, folder) in places.items():
        for name, summary in json.loads((folder / "results.json").read_text())["datasets"].items():
            found = scalars(folder / "tensorboard", f"evaluation/{stage}/{name}/avg_at_2")
            assert found == pytest.approx({step: summary["avg_at_n"]["mean"]})


def test_the_algorithm_is_the_recipes(arm):
    name, run = arm
    rl = run.recipe.rl
    assert (rl.name, rl.clip_high) == {"qwen3_4b": ("nft", 0.2), "llama31_8b": ("grpo", 0.2)}[name]
    assert run.recipe.init.name == {"qwen3_4b": "vcore", "llama31_8b": "dft"}[name]
