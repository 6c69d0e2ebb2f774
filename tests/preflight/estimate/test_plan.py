import io
import json

import pytest
from rich.console import Console

from tests import shipped
from vcore_verl.config.recipe import load
from vcore_verl.preflight.estimate import UnknownArchitecture, architecture_of, print_plan
from vcore_verl.preflight.estimate.architecture import PUBLISHED
from vcore_verl.preflight.estimate.cost import GPUS, Gpu, disk, hours, main_memory, tokens
from vcore_verl.preflight.estimate.memory import GIB, Phase, phases
from vcore_verl.preflight.estimate.page import warnings
from vcore_verl.preflight.estimate.settings import Settings, settings_of

A100, H100, H200 = GPUS


def settings(*overrides: str, name: str = "qwen3_4b") -> Settings:
    return settings_of(load(name, list(overrides)))


def phase(name: str, *overrides: str) -> Phase:
    (found,) = (phase for phase in phases(settings(*overrides), A100.memory) if phase.name == name)
    return found


def test_published_models_have_the_parameters_that_their_cards_state():
    stated = [0.6e9, 1.7e9, 4.0e9, 8.2e9, 32.8e9, 8.03e9, 7.25e9]
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


def of_one_micro_batch(*overrides: str, tokens: int) -> float:
    """GiB of SFT's training pass without context, and without gradients of earlier micro-batches."""
    lengths = (f"sft.max_tokens_per_rank={tokens}", f"data.cutoff_tokens={tokens}")
    s = settings("init=sft", *lengths, *overrides)
    (training,) = (phase for phase in phases(s, A100.memory) if phase.name == "SFT, training pass")
    return (training.total - training.parts["context"] - 4 * s.trained("sft") / s.ranks("sft")) / GIB


@pytest.mark.parametrize(
    ("model", "gpus", "counted"),
    [("Qwen/Qwen3-4B", 8, 10.96), ("Qwen/Qwen3-1.7B", 1, 14.19), ("Qwen/Qwen3-8B", 8, 15.81)],
)
def test_training_adapters_takes_what_verls_engine_was_counted_to_allocate(model, gpus, counted):
    assert of_one_micro_batch(f"model.path={model}", f"gpus={gpus}", tokens=16384) == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize(
    ("model", "gpus", "tokens", "counted"),
    [
        ("Qwen/Qwen3-4B", 8, 24576, 19.03),
        ("Qwen/Qwen3-1.7B", 1, 24576, 30.45),
        ("Qwen/Qwen3-1.7B", 1, 2048, 27.96 - 6.41),  # in the update, whatever the tokens; with gradients
    ],
)
def test_training_all_parameters_takes_what_verls_engine_was_counted_to_allocate(model, gpus, tokens, counted):
    found = of_one_micro_batch("model.lora.rank=0", f"model.path={model}", f"gpus={gpus}", tokens=tokens)
    assert found == pytest.approx(counted, rel=0.02)


def test_a_probe_takes_what_it_was_counted_to_allocate():
    probe = phase("SFT, probe (jvp)")
    assert (probe.total - probe.parts["context"]) / GIB == pytest.approx(13.03, rel=0.02)


def test_states_are_shared_by_all_ranks():
    eight, sixteen = phase("RL, update"), phase("RL, update", "hardware.nodes=2")
    assert sixteen.parts["states"] == eight.parts["states"] / 2
    assert sixteen.parts["activations"] == eight.parts["activations"]


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
    one_card = [line for line in warnings(settings(lora, "gpus=1")) if "RL" in line]
    assert one_card == []


# The data sheet of a GeForce RTX 4090: bfloat16 with float32 sums, dense.
RTX_4090 = Gpu("RTX-4090", 23.6 * GIB, 165e12, 1.008e12)


@pytest.mark.parametrize(("name", "gpu"), [("qwen3_0_6b", RTX_4090), ("qwen3_1_7b_one", H100)])
def test_recipes_for_one_card_fit_on_it_and_take_three_hours_at_most(name, gpu):
    s = settings(name=name)
    assert [phase.shortage(gpu.memory) for phase in phases(s, gpu.memory) if phase.shortage(gpu.memory)] == []
    assert sum(item.amount for item in hours(s, gpu)) < 3


def test_offloaded_states_leave_the_gpu_to_generation_alone():
    offload = "rl.verl.actor_rollout_ref.actor.fsdp_config.optimizer_offload=true"
    generation, update = phase("RL, generation", offload), phase("RL, update", offload)
    assert generation.parts["states"] == phase("RL, generation").parts["states"] / 3
    assert update.parts["states"] == phase("RL, update").parts["states"]


def test_states_that_always_live_in_main_memory_take_none_of_the_gpu():
    update = phase("RL, update", "rl.verl.actor_rollout_ref.actor.fsdp_config.offload_policy=true")
    assert update.parts["states"] == 0


def test_sequence_parallelism_divides_the_tokens_of_an_update():
    shared = phase("RL, update", "rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size=2")
    assert shared.parts["activations"] == phase("RL, update").parts["activations"] / 2


@pytest.mark.parametrize("name", [name for name in shipped.RECIPES if name != "tiny"])
def test_the_papers_recipes_fit_on_eight_gpus_of_80_gb(name):
    assert warnings(settings(name=name)) == []


def test_what_does_not_fit_names_gpus_part_and_key():
    (update,) = (line for line in warnings(settings("hardware.gpus=1")) if "RL, update" in line)
    assert update.startswith("A100-80GB, H100-80GB: RL, update needs 99 of 79 GiB; states take 60: add GPUs")
    too_long = warnings(settings("rl.max_tokens_per_rank=65536"))
    assert any("lower rl.max_tokens_per_rank to 12288" in line for line in too_long)


def test_ranks_that_share_a_sequence_are_a_remedy_with_flash_attention_alone():
    def helps(*overrides: str) -> str:
        return phase("RL, update", *overrides).helps["activations"]

    assert helps() == "lower rl.max_tokens_per_rank to 12288"
    shortest = "rl.max_tokens_per_rank=12288"
    assert helps(shortest) == "lower rl.max_tokens_per_rank with rl.max_response_tokens"
    flash = "rl.verl.actor_rollout_ref.model.override_config.attn_implementation=flash_attention_2"
    assert helps(shortest, flash).endswith(
        "rl.max_response_tokens, or rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size=2"
    )


def test_weights_too_large_for_a_rollout_engine_name_its_keys():
    found = warnings(settings("model.path=Qwen/Qwen3-32B"))
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


def test_hours_halve_on_twice_the_gpus_where_training_bounds_them():
    one, two = hours(settings(), A100), hours(settings("hardware.nodes=2"), A100)
    for name in ("SFT", "RL, update"):
        (before,), (after,) = ([item.amount for item in items if item.name == name] for items in (one, two))
        assert after == pytest.approx(before / 2)


def test_a_faster_gpu_takes_fewer_hours():
    assert sum(item.amount for item in hours(settings(), H200)) < sum(item.amount for item in hours(settings(), A100))


def test_a_plan_says_how_long_a_step_takes_and_when_it_counts_as_stalled():
    console = Console(file=io.StringIO(), width=100)
    print_plan(load("qwen3_4b", ["gpus=1"]), console)
    said = [line for line in console.file.getvalue().splitlines() if "a step on these" in line]  # type: ignore[attr-defined]
    assert said == [
        "SFT: at most 201 seconds a step on these; stopped after 30 minutes without a new one",
        "RL: at most 2,505 seconds a step on these; stopped after 167 minutes without a new one",
    ]


@pytest.mark.parametrize("name", shipped.RECIPES)
def test_a_plan_is_readable_at_100_columns(name):
    console = Console(file=io.StringIO(), width=100)
    recipe = load(name, ["hardware.device=cpu"] if name == "tiny" else [])
    print_plan(recipe, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line for line in printed.splitlines() if not line.startswith("warning: ")]
    assert max(map(len, lines)) <= 100
    assert any(line.split()[:2] == ["RL,", "update"] for line in lines)
    assert not any(line.strip().startswith(("P / R", "trained")) for line in lines)  # no cell of a table is wrapped


def test_a_cpu_is_asked_for_its_memory_alone():
    tiny = settings("hardware.device=cpu", name="tiny")
    assert [phase.name for phase in phases(tiny, GIB)] == [
        "SFT, training pass",
        "SFT, probe (jvp)",
        "RL, update",
    ]
    assert any("SFT, probe" in (phase.shortage(GIB) or "") for phase in phases(tiny, GIB))
