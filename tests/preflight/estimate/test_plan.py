import io
import json

import pytest
from rich.console import Console

from tests import shipped
from vcore_verl.config.recipe import load
from vcore_verl.preflight.estimate import UnknownArchitecture, architecture_of, print_plan
from vcore_verl.preflight.estimate.architecture import PUBLISHED
from vcore_verl.preflight.estimate.cost import GPUS, disk, hours, main_memory, tokens
from vcore_verl.preflight.estimate.memory import GIB, Phase, phases, shortages
from vcore_verl.preflight.estimate.settings import Settings, settings_of

RTX_4090, A100_40, L40S, A100, H100, H200 = GPUS


def settings(*overrides: str, name: str = "qwen3_4b") -> Settings:
    return settings_of(load(name, list(overrides)))


def phase(name: str, *overrides: str) -> Phase:
    (found,) = (phase for phase in phases(settings(*overrides), A100.memory) if phase.name == name)
    return found


def test_published_models_have_the_parameters_that_their_cards_state():
    stated = [0.6e9, 1.7e9, 4.0e9, 8.2e9, 32.8e9, 8.03e9, 134.5e6, 134.5e6, 7.25e9]
    assert [shape.parameters for shape in PUBLISHED.values()] == pytest.approx(stated, rel=0.02)


def test_the_shape_of_a_local_checkpoint_is_read_from_it(tmp_path):
    config = {
        "vocab_size": 100,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "model_type": "llama",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = architecture_of(load("qwen3_4b", [f"model.path={tmp_path}"]))
    assert (shape.kv_heads, shape.head_dim, shape.tied, shape.qk_norm) == (4, 16, False, False)


def test_an_unknown_model_says_how_to_make_it_known():
    with pytest.raises(UnknownArchitecture, match="hf download somebody/something"):
        architecture_of(load("qwen3_4b", ["model.path=somebody/something"]))


def test_a_model_of_another_kind_is_unknown(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": {}}))
    with pytest.raises(UnknownArchitecture, match=r"no plan for a model of type gemma3: .* no vocab_size"):
        architecture_of(load("qwen3_4b", [f"model.path={tmp_path}"]))


def test_states_are_shared_by_all_ranks():
    eight, sixteen = phase("RL, update"), phase("RL, update", "hardware.nodes=2")
    assert sixteen.parts["states"] == eight.parts["states"] / 2
    assert sixteen.parts["activations"] == eight.parts["activations"]


def test_a_pass_before_each_step_and_a_copy_of_the_parameters_are_in_the_plan():
    planned = [{item.name: item.amount for item in hours(settings(f"init={init}"), A100)} for init in ("sft", "psft")]
    assert planned[1]["SFT"] == pytest.approx(4 / 3 * planned[0]["SFT"])
    plain, old = (phase("SFT, training pass", f"init={init}") for init in ("sft", "psft"))
    copy = sum(old.parts.values()) - sum(plain.parts.values())
    assert copy == pytest.approx(4 * settings().trained("sft") / 8, rel=1e-3)


def test_low_rank_adapters_spare_gradients_and_moments_but_not_weights():
    lora, full = phase("SFT, training pass"), phase("SFT, training pass", "model.lora.rank=0")
    assert lora.parts["states"] == pytest.approx(full.parts["states"] / 4, rel=0.02)


def test_adapters_in_rl_spare_gradients_moments_and_the_reference_policy():
    lora = "rl.lora={rank:32,alpha:64}"
    adapters = settings(lora).trained("rl")
    parameters = PUBLISHED["Qwen/Qwen3-4B"].parameters
    assert phase("RL, update", lora).parts["states"] == (4 * parameters + 16 * adapters) / 8
    assert phase("RL, generation", lora).parts["states"] == (4 * parameters + 12 * adapters) / 8
    assert phase("RL, generation", lora).parts["weights"] == 4 * adapters
    assert {item.name: item.amount for item in disk(settings(lora))}["RL checkpoints"] == 8 * parameters + 24 * adapters
    in_memory = [{item.name for item in main_memory(settings(*given))} for given in ((), (lora,))]
    assert in_memory[0] - in_memory[1] == {"reference policy"}
    assert in_memory[1] - in_memory[0] == {"rollout engines, asleep"}
    assert not any("RL" in reason for reason in shortages(settings(lora, "gpus=1"), A100.memory))


@pytest.mark.parametrize(("name", "gpu"), [("qwen3_0_6b", RTX_4090), ("qwen3_1_7b_one", H100)])
def test_recipes_for_one_card_fit_on_it_and_take_three_hours_at_most(name, gpu):
    s = settings(name=name)
    assert shortages(s, gpu.memory) == []
    assert sum(item.amount for item in hours(s, gpu)) < 3


def test_offloaded_states_leave_the_gpu_to_generation_alone():
    offload = "rl.verl.actor_rollout_ref.actor.fsdp_config.optimizer_offload=true"
    generation, update = phase("RL, generation", offload), phase("RL, update", offload)
    assert generation.parts["states"] == phase("RL, generation").parts["states"] / 3
    assert update.parts["states"] == phase("RL, update").parts["states"]


def test_states_that_always_live_in_main_memory_take_none_of_the_gpu():
    update = phase("RL, update", "rl.verl.actor_rollout_ref.actor.fsdp_config.offload_policy=true")
    assert update.parts["states"] == 0


def test_ranks_that_share_sequences_hold_as_many_tokens_each():
    shared = phase("RL, update", "rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size=2")
    assert shared.parts["activations"] == phase("RL, update").parts["activations"]


@pytest.mark.parametrize("name", [name for name in shipped.RECIPES if name not in shipped.BUILT_IN])
def test_the_papers_recipes_fit_on_eight_gpus_of_80_gb(name):
    assert shortages(settings(name=name), A100.memory) == shortages(settings(name=name), H100.memory) == []


def test_what_does_not_fit_names_part_and_key_once():
    (update,) = (line for line in shortages(settings("gpus=1"), L40S.memory) if "RL" in line)
    assert update.startswith(
        "RL, update needs 76.2 of 44.4 GiB; states take 59.9: add GPUs (gpus=, nodes=), or rl.verl."
    )
    assert update.endswith("actor.fsdp_config.offload_policy=true")
    (generation,) = shortages(settings("gpus=1"), A100.memory)
    assert generation.startswith("RL, generation needs 89.6 of 79.2 GiB; states take 45.0: rl.verl.")
    whole = "rl.verl.actor_rollout_ref.model.use_fused_kernels=false"
    (too_long,) = shortages(settings(whole, "rl.max_tokens_per_rank=98304"), A100.memory)
    assert too_long.endswith("lower rl.max_tokens_per_rank to 12288")


def test_ranks_that_share_a_sequence_are_a_remedy_with_flash_attention_alone():
    def helps(*overrides: str) -> str:
        return phase("RL, update", *overrides).helps["activations"]

    assert helps() == "lower rl.max_tokens_per_rank to 12288"
    shortest = "rl.max_tokens_per_rank=12288"
    assert helps(shortest) == "lower rl.max_tokens_per_rank with rl.max_response_tokens"
    flash = "rl.verl.actor_rollout_ref.model.override_config.attn_implementation=flash_attention_2"
    assert helps(shortest, flash).endswith(
        "rl.max_response_tokens, or to 6144 with rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size=2"
    )


def test_weights_too_large_for_a_rollout_engine_name_its_keys():
    found = shortages(settings("model.path=Qwen/Qwen3-32B"), A100.memory)
    (line,) = (line for line in found if "RL, generation" in line)
    assert "vLLM's share of 40 GiB leaves room for keys and values of 0 tokens beside 61 GiB of weights" in line
    assert "rollout.tensor_model_parallel_size=1" in line


def test_disk_counts_two_checkpoints_of_each_training_and_a_float32_export():
    amounts = {item.name: item.amount for item in disk(settings("init=none"))}
    parameters = PUBLISHED["Qwen/Qwen3-4B"].parameters
    assert amounts == {
        "base model": 2 * parameters,
        "RL checkpoints": 2 * 12 * parameters,
        "RL export": 4 * parameters,
    }


def test_tokens_follow_from_steps_and_batch_sizes():
    counted = {item.name: item.amount for item in tokens(settings())}
    assert counted["SFT"] == 100 * 32 * 16384 / 2
    assert counted["RL, generation"] == 200 * 128 * 4 * 8192 / 2


def test_starts_loading_and_checkpoints_count():
    parameters, adapters = PUBLISHED["Qwen/Qwen3-4B"].parameters, settings().trained("sft")
    found = {item.name: 3600 * item.amount for item in hours(settings(), H200)}
    # Three evaluations, SFT, RL: four reads of each, and two more of SFT's export, RL's and the reference policy's.
    assert found["start-up and loading"] == pytest.approx(60 + 180 + 3 * 120 + 4 * parameters * 8 / 1e9)
    sft, rl = 2 * (4 * (parameters + adapters) + 8 * adapters), 10 * 12 * parameters
    assert found["checkpoints"] == pytest.approx((sft + rl) / 1e9)


def test_hours_halve_on_twice_the_gpus_where_training_bounds_them():
    one, two = hours(settings(), A100), hours(settings("hardware.nodes=2"), A100)
    for name in ("SFT", "RL, update"):
        (before,), (after,) = ([item.amount for item in items if item.name == name] for items in (one, two))
        assert after == pytest.approx(before / 2)


def test_a_faster_gpu_takes_fewer_hours():
    assert sum(item.amount for item in hours(settings(), H200)) < sum(item.amount for item in hours(settings(), A100))


def printed(name: str, *overrides: str) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    print_plan(load(name, list(overrides)), console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_plan_says_how_long_a_step_takes_and_when_it_counts_as_stalled():
    said = [line for line in printed("qwen3_4b") if "a step on these" in line]
    assert said == [
        "SFT: at most 25.1 seconds a step on these; stopped after 30 minutes without a new one",
        "RL: at most 624 seconds a step on these; stopped after 41.6 minutes without a new one",
    ]


def test_a_plan_begins_with_the_verdict():
    first = printed("qwen3_4b")[0]
    assert first == (
        "fits GPUs of 40, 48, 80 and 141 GB; tightest: RL, generation 30.3 of 39.4 GiB (A100-40GB); does not fit 24 GB"
    )
    small = printed("tiny", "hardware.device=cpu")
    assert small[0].startswith("fits this machine; tightest: SFT, training pass 1.5 of ")
    assert "(hardware.device=cuda plans for GPUs)" in small[1]


@pytest.mark.parametrize("name", shipped.each(shipped.RECIPES))
def test_a_plans_tables_are_readable_at_100_columns(name):
    lines = printed(name, *(["hardware.device=cpu"] if name in shipped.BUILT_IN else []))
    tables = [line for line in lines if line.startswith("   ")]  # below a title; other lines are as long as they are
    assert max(map(len, tables)) <= 100
    assert any(line.split()[:2] == ["RL,", "update"] for line in tables)
    assert not any(line.strip().startswith(("P / R", "trained")) for line in tables)  # no cell is wrapped


def test_a_cpu_is_asked_for_its_memory_alone():
    tiny = settings("hardware.device=cpu", name="tiny")
    assert [phase.name for phase in phases(tiny, GIB)] == [
        "SFT, training pass",
        "SFT, probe (jvp)",
        "RL, update",
    ]
    assert any("SFT, probe" in (phase.shortage(GIB) or "") for phase in phases(tiny, GIB))
