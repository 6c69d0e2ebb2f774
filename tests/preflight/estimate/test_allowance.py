import json

import pytest

from vcore_verl.config.recipe import load
from vcore_verl.preflight.estimate.allowance import preparation_seconds, stall_seconds
from vcore_verl.preflight.estimate.cost import GPUS, hours
from vcore_verl.preflight.estimate.memory import shortages
from vcore_verl.preflight.estimate.settings import settings_of

A100, H200 = GPUS[3], GPUS[5]
OFFLOADED = "rl.verl.actor_rollout_ref.actor.fsdp_config.offload_policy=true"


def planned_step(*overrides: str, gpu=A100) -> float:
    """Seconds of a step of RL by the plan's own hours."""
    recipe = load("qwen3_4b", list(overrides))
    items = {item.name: item.amount for item in hours(settings_of(recipe), gpu)}
    return 3600 * (items["RL, generation"] + items["RL, update"]) / recipe.rl.steps


def test_a_step_of_training_has_four_times_its_planned_seconds_on_the_slowest_gpu_that_it_fits_on():
    alone = load("qwen3_4b", ["gpus=1", OFFLOADED])
    able = [gpu for gpu in GPUS if not shortages(settings_of(alone), gpu.memory)]
    assert [gpu.name for gpu in able] == ["A100-40GB", "L40S", "A100-80GB", "H100-80GB", "H200"]
    slowest = planned_step("gpus=1", OFFLOADED, gpu=GPUS[2])
    assert slowest > planned_step("gpus=1", OFFLOADED) > 2 * planned_step("gpus=1", OFFLOADED, gpu=H200) > 600
    assert stall_seconds(alone, "rl") == pytest.approx(4 * slowest)
    assert stall_seconds(alone, "sft") == 30 * 60 > 4 * 200
    assert stall_seconds(load("qwen3_32b", ["gpus=1"]), "sft") > 30 * 60


def test_a_step_that_probes_counts_in_full_however_rare_it_is():
    each, seldom = (load("qwen3_32b", ["gpus=1", f"init.probe.every={every}"]) for every in (1, 10))
    assert stall_seconds(each, "sft") == pytest.approx(stall_seconds(seldom, "sft"))


def test_a_cut_probe_batch_costs_its_share_of_the_mean_length():
    # A mean of 8,192 tokens, as many probe sequences as trained ones: three passes for the gradient, two for utilities.
    cuts = ("null", "2048", "12000")
    plans = [hours(settings_of(load("qwen3_4b", [f"init.probe.cutoff_tokens={cut}"])), A100) for cut in cuts]
    whole, quarter, longer = (next(item.amount for item in plan if item.name == "SFT, probe") for plan in plans)
    assert quarter == pytest.approx((3 / 4 + 2) / (3 + 2) * whole)
    assert longer == whole


def test_gpus_that_cannot_hold_the_model_are_not_meant():
    weights = ("model.path=Qwen/Qwen3-32B", "gpus=1")
    assert planned_step(*weights) == float("inf")
    recipe = load("qwen3_4b", list(weights))
    assert stall_seconds(recipe, "rl") == pytest.approx(4 * planned_step(*weights, gpu=H200))


def test_the_recipes_minutes_are_the_least(tmp_path):
    assert stall_seconds(load("qwen3_4b", ["gpus=1", "hardware.stall_minutes=600"]), "rl") == 600 * 60
    for stage in ("data", "evaluate_base", "export_rl", "report"):
        assert stall_seconds(load("qwen3_4b", ["gpus=1"]), stage) == 30 * 60
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": {}}))
    for unknown in ("somebody/something", str(tmp_path)):
        assert stall_seconds(load("qwen3_4b", ["gpus=1", f"model.path={unknown}"]), "rl") == 30 * 60


def test_nothing_changes_on_a_cpu():
    recipe = load("qwen3_4b", ["hardware.device=cpu", "gpus=1", "init=iw_sft"])
    assert [stall_seconds(recipe, stage) for stage in ("sft", "rl")] == [30 * 60, 30 * 60]
    assert preparation_seconds(recipe, "sft") == 0


def test_the_reference_of_iw_sft_has_time_before_the_first_step():
    recipe = load("llama31_8b", ["init=iw_sft"])
    passes = {item.name: item for item in hours(settings_of(recipe), A100)}["SFT"]
    assert 0 < preparation_seconds(recipe, "sft") < 4 * 3600 * passes.amount
    assert preparation_seconds(recipe, "sft") > 2 * 30 * 60
    assert preparation_seconds(recipe, "rl") == preparation_seconds(load("llama31_8b", []), "sft") == 0
