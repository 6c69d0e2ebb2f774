import json

import pytest

from vcore_verl.config.recipe import load
from vcore_verl.preflight import obstacles
from vcore_verl.preflight.doctor.machine import GIB, GpuState
from vcore_verl.preflight.obstacles import obstacle

A100 = GpuState("NVIDIA A100-SXM4-80GB", "580.65.06", 80 * GIB, 0, (8, 0))
V100 = GpuState("Tesla V100-SXM2-32GB", "580.65.06", 32 * GIB, 0, (7, 0))


def test_gpus_that_may_run_a_recipe_have_no_obstacle():
    assert obstacle(load("qwen3_4b", []), [A100] * 8) is None
    assert obstacle(load("qwen3_4b", []), []) is None
    assert obstacle(load("tiny", ["hardware.device=cpu"]), [V100]) is None


def test_a_card_without_the_kernels_is_too_old():
    assert obstacle(load("qwen3_0_6b", []), [A100, V100]) == (
        "Tesla V100-SXM2-32GB (compute capability 7.0) is too old: bfloat16 and flash attention need 8.0, as an A100 "
        "or an RTX 3090 has"
    )


def test_a_card_that_cannot_hold_the_training_states_is_too_small():
    found = obstacle(load("qwen3_8b", ["gpus=1"]), [A100])
    assert found is not None
    assert found.startswith("NVIDIA A100-SXM4-80GB, 80 GiB, is too small: RL, ")
    assert "\n" not in found


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        ((), True),
        (("init.probe.derivative=central",), False),
        (("init=sft",), False),
        (("model.dtype=float32",), False),
    ],
)
def test_heads_too_wide_for_forward_mode_are_refused_where_it_is_used(tmp_path, overrides, refused):
    config = {"vocab_size": 100, "hidden_size": 576, "intermediate_size": 128, "num_hidden_layers": 2}
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_attention_heads": 3, "model_type": "llama"}))
    found = obstacle(load("qwen3_4b", [f"model.path={tmp_path}", *overrides]), [A100] * 8)
    assert found == (
        f"{tmp_path} has heads of 192 numbers, and flash attention in forward mode takes 128 at most: "
        "set init.probe.derivative=central"
        if refused
        else None
    )


@pytest.mark.parametrize(
    ("overrides", "flags", "refused"),
    [
        ([], "avx avx2", True),
        ([], "avx avx2 avx512f avx512bw", False),
        ([], "fp asimd bf16", False),
        (["model.dtype=float32"], "avx avx2", False),
        (["scale=smoke"], "avx avx2", False),
    ],
)
def test_a_cpu_that_computes_bfloat16_by_hand_is_told_to_use_float32(overrides, flags, refused, monkeypatch):
    monkeypatch.setattr(obstacles, "cpu_flags", lambda: frozenset(flags.split()))
    found = obstacle(load("smollm2_135m", ["hardware.device=cpu", *overrides]), [])
    told = (
        "this CPU has no AVX-512, without which PyTorch takes minutes for a step in bfloat16: set model.dtype=float32"
    )
    assert found == (told if refused else None)
