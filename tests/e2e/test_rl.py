"""Forms of RL that no recipe chooses, on the real stack with two ranks: adapters with an allocation of the responses,
and dynamic sampling with an overlong buffer.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.e2e.conftest import BASE
from vcore_verl.config.recipe import load
from vcore_verl.pipeline.export import join_shards
from vcore_verl.pipeline.export_stage import export_command
from vcore_verl.rl.command import rl_command, verify_rl
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import read
from vcore_verl.runtime import hardware, process

pytestmark = pytest.mark.e2e

MINUTES = 60  # seconds
RESPONSE_TOKENS = 64
SHORTER = [
    *BASE,
    "init=none",
    "rl.save_every=1",
    "rl.warmup_ratio=0",
    f"rl.max_response_tokens={RESPONSE_TOKENS}",
    "rl.verl.trainer.n_gpus_per_node=2",
]
RANK, ALPHA = 8, 16
# This base model solves a few percent of the problems. The whole of a response is overlong, so that all tokens cost the
# same, and rewards differ within groups in which no response is right.
EVERY_TOKEN_COSTS = f"rl.overlong_buffer={RESPONSE_TOKENS}"
ADAPTERS = [
    "rl=gvm_grpo",
    "rl.steps=4",
    "rl.prompts_per_step=8",
    "rl.mini_batch_prompts=8",
    "rl.learning_rate=1e-3",
    EVERY_TOKEN_COSTS,
    f"rl.lora={{rank:{RANK},alpha:{ALPHA}}}",
]
# Few groups, each of many responses.
DYNAMIC = [
    "rl=dapo",
    "rl.steps=2",
    "rl.prompts_per_step=4",
    "rl.samples_per_prompt=16",
    "rl.mini_batch_prompts=4",
    "rl.dynamic_sampling=true",
    EVERY_TOKEN_COSTS,
    "rl.verl.actor_rollout_ref.rollout.calculate_log_probs=true",
]


class Interrupted(Exception):
    """Training was ended early."""


def prepared(output: Path, tiny_base: Path, overrides: list[str]) -> Run:
    shutil.copytree(tiny_base, output / tiny_base.name, symlinks=True)
    return Run(hardware.resolve(load("tiny", [f"output_dir={output}", *SHORTER, *overrides])))


def train(run: Run, until: int | None = None) -> None:
    """Train to the end, or until step `until` is done."""

    def stop(line: dict[str, Any]) -> None:
        if line["step"] == until:
            raise Interrupted

    process.run(rl_command(run.recipe, run), run.root / "rl.log", 10 * MINUTES, stop)


def export(run: Run) -> None:
    process.run(export_command(run.recipe, run, "rl"), run.root / "export.log", 10 * MINUTES, lambda line: None)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).named_parameters())


def shards(run: Run) -> Path:
    return run.rl_checkpoints / f"global_step_{run.recipe.rl.steps}" / "actor"


@pytest.fixture(scope="module")
def adapted(tiny_base, tmp_path_factory) -> Run:
    """RL of adapters, interrupted after its second step, finished and exported."""
    run = prepared(tmp_path_factory.mktemp("adapted"), tiny_base, ADAPTERS)
    with pytest.raises(Interrupted):
        train(run, until=2)
    train(run)
    verify_rl(run.recipe, run)
    export(run)
    return run


@pytest.fixture(scope="module")
def dynamic(tiny_base, tmp_path_factory) -> Run:
    """RL with dynamic sampling and an overlong buffer, finished and exported."""
    run = prepared(tmp_path_factory.mktemp("dynamic"), tiny_base, DYNAMIC)
    train(run)
    verify_rl(run.recipe, run)
    export(run)
    return run


@pytest.mark.parametrize("name", ["adapted", "dynamic"])
def test_rollouts_come_from_the_policy_that_is_trained(name, request):
    run = request.getfixturevalue(name)
    steps = read(run.rl / "metrics.jsonl")
    assert [line["step"] for line in steps] == list(range(1, run.recipe.rl.steps + 1))
    assert max(line["training/rollout_probs_diff_max"] for line in steps) < 1e-4


def test_an_allocation_draws_as_many_responses_as_grpo_and_no_prompt_has_too_few_or_too_many(adapted):
    rl = adapted.recipe.rl
    for line in read(adapted.rl / "metrics.jsonl"):
        assert line["allocation/responses"] == rl.prompts_per_step * rl.samples_per_prompt
        means = [value for name, value in line.items() if name.startswith("allocation/responses_with_")]
        assert all(rl.lowest <= mean <= rl.highest for mean in means)
        assert max(means) <= line["allocation/most"] <= rl.highest
        assert line["allocation/prompts"] == rl.prompts_per_step


def test_adapters_start_at_the_reference_policy_and_a_resumed_run_goes_on_from_where_they_were(adapted):
    first, *later = (line["actor/kl_loss"] for line in read(adapted.rl / "metrics.jsonl"))
    assert first == 0
    assert all(kl > 1e-4 for kl in later)


def test_an_export_is_the_starting_checkpoint_and_the_adapters_merged(adapted):
    start, exported, trained = weights(adapted.rl_start), weights(adapted.rl_hf), join_shards(shards(adapted))
    moved = 0
    for name, weight in start.items():
        module = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{module}.lora_B.default.weight" in trained:
            low, high = (trained[f"{module}.{part}.default.weight"] for part in ("lora_A", "lora_B"))
            assert torch.equal(trained[f"{module}.base_layer.weight"], weight)
            torch.testing.assert_close(exported[name], weight + ALPHA / RANK * high @ low, atol=1e-6, rtol=0)
            moved += int(high.any())
        else:
            assert torch.equal(exported[name], weight)
    assert moved == 7 * adapted.recipe.base.layers


def test_each_rank_trains_a_part_of_every_weight(dynamic):
    parts = sorted(path.name for path in shards(dynamic).glob("model_world_size_*"))
    assert parts == ["model_world_size_2_rank_0.pt", "model_world_size_2_rank_1.pt"]
    start, exported, trained = (
        weights(dynamic.rl_start),
        weights(dynamic.rl_hf),
        join_shards(shards(dynamic)),
    )
    for name, weight in start.items():
        assert torch.equal(exported[name], trained[name])
        for half, before in zip(exported[name].chunk(2), weight.chunk(2), strict=True):
            assert not torch.equal(half, before)


def test_dynamic_sampling_replaces_groups_whose_responses_are_equally_good(dynamic):
    rl, steps = dynamic.recipe.rl, read(dynamic.rl / "metrics.jsonl")
    assert sum(line.get("training/filter_groups/evicted_samples", 0) for line in steps) > 0
    for line in steps:
        # At least one response of each group is correct, and one is not.
        assert 1 / rl.samples_per_prompt <= line["reward/status/correct"] <= 1 - 1 / rl.samples_per_prompt


def test_the_overlong_buffer_takes_from_the_reward_by_length(dynamic):
    for line in read(dynamic.rl / "metrics.jsonl"):
        penalty = line["response_length/mean"] / RESPONSE_TOKENS
        assert line["critic/score/mean"] == pytest.approx(line["reward/status/correct"] - penalty, abs=1e-5)
