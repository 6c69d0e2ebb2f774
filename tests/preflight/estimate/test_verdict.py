import pytest

from vcore_verl.config.recipe import load
from vcore_verl.preflight.estimate.cost import GPUS, hours
from vcore_verl.preflight.estimate.settings import Settings, settings_of
from vcore_verl.preflight.estimate.verdict import halving, on_each_gpu, reference_gpu, shortcut, verdict


def settings(name: str, *overrides: str) -> Settings:
    return settings_of(load(name, list(overrides)))


def test_each_gpu_is_judged_by_its_own_memory():
    lines = on_each_gpu(settings("qwen3_4b", "gpus=1"))
    assert [line.partition(":")[0] for line in lines] == [gpu.name for gpu in GPUS]
    assert [": fits" in line for line in lines] == [False, False, False, False, False, True]
    assert lines[3].startswith("A100-80GB: does not fit: RL, generation needs 89.6 of 79.2 GiB; ")
    assert lines[5] == "H200: fits; tightest: RL, generation 119.9 of 139.8 GiB"


@pytest.mark.parametrize(("name", "size"), [("qwen3_0_6b", 24), ("qwen3_1_7b_one", 80), ("qwen3_4b", 40)])
def test_the_smallest_gpu_of_a_recipe(name, size):
    s = settings(name)
    assert reference_gpu(s).size == size
    assert verdict(s).startswith(f"fits GPUs of {size}")


def test_where_nothing_fits_the_verdict_says_why():
    found = verdict(settings("qwen3_32b", "gpus=1", "hardware.tensor_parallel=1"))
    assert found.startswith("does not fit 24, 40, 48, 80 and 141 GB: SFT, training pass needs ")


@pytest.mark.parametrize("part", ["SFT", "SFT, probe", "RL, generation", "RL, update", "evaluation"])
def test_the_key_that_halves_a_part_does_so(part):
    def amount(*overrides: str) -> float:
        return next(item.amount for item in hours(settings("qwen3_4b", *overrides), GPUS[3]) if item.name == part)

    key = halving(settings("qwen3_4b"), part)
    assert key is not None
    assert 0.4 <= amount(key) / amount() <= 0.6


def test_the_longest_part_is_named_with_its_key():
    assert shortcut(settings("qwen3_4b")) == (
        "most hours: RL, generation, 16.6 of 36.8 (A100-40GB); rl.steps=100 halves it"
    )


def test_what_the_plan_does_not_read_is_named():
    place = "rl.verl.actor_rollout_ref"
    assert settings("qwen3_4b").not_modelled() == []
    assert settings("qwen3_4b", f"{place}.model.enable_activation_offload=true").not_modelled() == [
        f"{place}.model.enable_activation_offload=True"
    ]
    read = (f"{place}.actor.fsdp_config.optimizer_offload=true", f"{place}.rollout.gpu_memory_utilization=0.4")
    assert settings("qwen3_4b", *read).not_modelled() == []
    assert settings("qwen3_32b").not_modelled() == [f"the time that {place}.actor.fsdp_config.offload_policy costs"]
    assert settings("qwen3_4b_code").not_modelled() == ["the time of running programs"]
