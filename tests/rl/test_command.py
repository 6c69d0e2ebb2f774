import importlib.metadata
import inspect
import os
import re

import pytest
import torch
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import agg_loss
from verl.utils.config import omega_conf_to_dataclass

from tests import shipped
from vcore_verl.config.overrides import flat, lookup, to_overrides
from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.config.rl_schema import LOSS_AGGREGATIONS
from vcore_verl.cpu.patches import alias_vllm_distribution
from vcore_verl.rl import command
from vcore_verl.rl.limits import check
from vcore_verl.rl.main import configure
from vcore_verl.runs.layout import ArtefactError, Run

OTHER_ALGORITHMS = [rl for rl in shipped.ALGORITHMS if rl not in ("grpo", "none")]


def composed(recipe):
    """verl's own configuration with the recipe's overrides, checked by verl."""
    config = configure(to_overrides(command.verl_settings(recipe, Run(recipe))))
    for part in (config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout, config.algorithm):
        omega_conf_to_dataclass(part)
    return config


@pytest.mark.parametrize("name", shipped.each(shipped.RECIPES))
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_recipe_composes_against_verls_own_configuration(name, device):
    config = composed(load(name, [f"hardware.device={device}"]))
    assert config.algorithm.adv_estimator == "grpo"
    assert config.trainer.device == device


@pytest.mark.parametrize("name", ["qwen3_4b", "smollm2_135m"])
@pytest.mark.parametrize("rl", OTHER_ALGORITHMS)
def test_every_algorithm_composes_against_verls_own_configuration(name, rl):
    recipe = load(name, [f"rl={rl}"])
    config = OmegaConf.to_container(composed(recipe))
    for key, value in flat(recipe.rl.method.settings).items():
        assert lookup(config, key) == value


@pytest.mark.parametrize("name", shipped.each(shipped.RECIPES))
@pytest.mark.parametrize("rl", OTHER_ALGORITHMS)
def test_every_algorithm_passes_all_checks_with_every_recipe(name, rl):
    recipe = load(name, [f"rl={rl}"])
    settings = command.verl_settings(recipe, Run(recipe))
    assert (settings["data"]["train_batch_size"], recipe.rl.name) == (recipe.rl.prompts_per_step, rl)
    check(recipe, settings)


def test_the_papers_grpo_settings_reach_verl():
    config = composed(load("qwen3_4b", []))
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    assert config.data.train_batch_size == 128
    assert (config.data.max_prompt_length, config.data.max_response_length) == (4096, 8192)
    assert (actor.ppo_mini_batch_size, actor.optim.lr, actor.optim.lr_warmup_steps_ratio) == (32, 5e-6, 0.1)
    assert (actor.use_kl_loss, actor.kl_loss_coef, actor.kl_loss_type) == (True, 0.02, "low_var_kl")
    assert (actor.entropy_coeff, rollout.n, config.algorithm.use_kl_in_reward) == (0.001, 4, False)


def test_tests_during_rl_are_on_the_primary_data_set_and_decode_as_evaluation_does():
    recipe = load("tiny", ["comparison.primary.dataset=out_of_domain", "rl.test_every=5", "evaluation.temperature=0.7"])
    config = composed(recipe)
    assert config.trainer.test_freq == 5
    assert config.data.val_files.endswith("data/out_of_domain.parquet")
    decoding = config.actor_rollout_ref.rollout.val_kwargs
    assert (decoding.n, decoding.do_sample, decoding.temperature, decoding.top_p) == (1, True, 0.7, 1.0)


def test_without_tests_verl_never_validates():
    assert composed(load("tiny", [])).trainer.test_freq == -1


def test_dapo_clips_higher_and_can_punish_overlong_responses():
    config = composed(
        load("tiny", ["hardware.device=cpu", "rl=dapo", "rl.overlong_buffer=32", "rl.dynamic_sampling=true"])
    )
    actor = config.actor_rollout_ref.actor
    assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.loss_agg_mode) == (0.2, 0.28, "token-mean")
    assert OmegaConf.select(config, "reward.reward_kwargs.overlong_buffer_cfg.len") == 32
    assert config.algorithm.filter_groups.enable


def test_adapters_are_trained_and_sent_to_rollouts_that_read_the_frozen_weights_themselves(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", importlib.metadata.version)
    alias_vllm_distribution()  # verl's check of adapters imports what asks for it
    config = composed(load("qwen3_4b", ["rl.lora={rank:32,alpha:64}"])).actor_rollout_ref
    found = (config.model.lora_rank, config.model.lora_alpha, config.model.target_modules, config.model.lora.merge)
    assert found == (32, 64, "all-linear", False)
    assert config.rollout.load_format == "auto"


def test_without_adapters_rollouts_get_all_weights_from_the_actor():
    config = composed(load("qwen3_4b", [])).actor_rollout_ref
    assert (config.model.lora_rank, config.rollout.load_format) == (0, "dummy")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rl.lora.rank=8", r"rl\.lora\.alpha=0 must be positive: adapters are scaled by alpha / rank"),
        ("rl.lora={rank:1024,alpha:8}", r"rl\.lora\.rank=1024 .* 512"),
        ("rl.lora={rank:8,alpha:16,dropout:0.1}", r"unknown key 'rl\.lora\.dropout'"),
    ],
)
def test_adapters_that_cannot_be_are_refused(override, message):
    with pytest.raises(RecipeError, match=message):
        load("qwen3_4b", [override])


def test_rollouts_compute_log_probabilities_only_where_something_reads_them():
    def computed(*overrides):
        return composed(load("qwen3_4b", [*overrides])).actor_rollout_ref.rollout.calculate_log_probs

    assert not computed()
    assert computed("rl.verl.algorithm.rollout_correction.rollout_is=token")
    assert computed("rl.verl.actor_rollout_ref.rollout.calculate_log_probs=true")


OFFLOADED = "rl.verl.actor_rollout_ref.actor.fsdp_config.offload_policy=true"


def test_an_optimizer_on_the_cpu_shares_its_threads_among_the_ranks_of_a_node(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)

    def threads(*overrides):
        recipe = load("qwen3_4b", [*overrides])
        return command.rl_command(recipe, Run(recipe)).env.get("OMP_NUM_THREADS")

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads() is None
    assert threads(OFFLOADED) == "8"
    assert threads(OFFLOADED, "rl.verl.trainer.n_gpus_per_node=4") == "16"
    assert threads(OFFLOADED, "hardware.device=cpu") == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(OFFLOADED) is None  # the child inherits it


def test_rl_leaves_the_allocator_to_verl_for_vllms_sleep_mode():
    recipe = load("qwen3_4b", [])
    config = omega_conf_to_dataclass(composed(recipe).actor_rollout_ref.rollout)
    assert config.enable_sleep_mode
    assert "PYTORCH_CUDA_ALLOC_CONF" not in command.rl_command(recipe, Run(recipe)).env


def test_an_engine_takes_no_more_sequences_at_a_time_than_its_sampler_has_memory_for():
    assert composed(load("qwen3_0_6b", [])).actor_rollout_ref.rollout.max_num_seqs == 256


def test_epochs_suffice_for_the_steps():
    recipe = load("tiny", ["rl.steps=100"])
    trainer = command.verl_settings(recipe, Run(recipe))["trainer"]
    steps_per_epoch = recipe.data.num_rl // recipe.rl.prompts_per_step
    assert trainer["total_epochs"] * steps_per_epoch >= 100 == trainer["total_training_steps"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["gpus=6"], "rl.mini_batch_prompts=32 times rl.samples_per_prompt=4 must be a multiple of the 6 ranks"),
        (["hardware.tensor_parallel=3"], "8 GPUs a node must be a multiple of the 3 that share a vLLM engine"),
        (["rl.verl.trainer.n_gpus_per_node=16"], "rl.verl.trainer.n_gpus_per_node=16 is more than hardware.gpus=8"),
        (["rl.prompts_per_step=100"], "rl.prompts_per_step=100 must be a multiple of rl.mini_batch_prompts=32"),
        (["rl.samples_per_prompt=1", "rl.mini_batch_prompts=128"], "=1 leaves grpo nothing to compare a response with"),
        (["rl.verl.actor_rollout_ref.actor.optim.lr=1"], r"optim\.lr is set by rl\.learning_rate; set that"),
        (["rl.verl.actor_rollout_ref.actor.use_kl_loss=false"], r"use_kl_loss is set by rl\.kl_coef; set that"),
        (["rl.verl.actor_rollout_ref.model.lora_rank=8"], r"lora_rank is set by rl\.lora\.rank; set that"),
        (["rl.verl.trainer.logger=[console,wandb]"], r"trainer\.logger is set by tracking; set that"),
        (["rl.verl.actor_rollout_ref.rollout.n=1"], r"rollout\.n is set by rl\.samples_per_prompt; set that"),
        (
            ["rl.verl.actor_rollout_ref.rollout.max_model_len=9"],
            r"is set by data\.max_prompt_tokens, rl\.max_response_tokens; set those",
        ),
        (["rl.max_tokens_per_rank=8192"], "cannot hold one sequence of .* = 12288 tokens"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused_before_anything_starts(overrides, message):
    recipe = load("qwen3_4b", overrides)
    with pytest.raises(RecipeError, match=message):
        command.rl_command(recipe, Run(recipe))


FLASH_ATTENTION = "rl.verl.actor_rollout_ref.model.override_config.attn_implementation=flash_attention_2"


@pytest.mark.parametrize("place", ["actor", "actor.fsdp_config", "ref", "ref.fsdp_config"])
def test_ranks_share_a_sequence_with_flash_attention_alone(place, monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    shared = f"rl.verl.actor_rollout_ref.{place}.ulysses_sequence_parallel_size=2"
    recipe = load("qwen3_4b", [shared])
    with pytest.raises(RecipeError, match=rf"{shared} needs flash attention: .*; set it to 1, or .* {FLASH_ATTENTION}"):
        command.rl_command(recipe, Run(recipe))
    recipe = load("qwen3_4b", [shared, FLASH_ATTENTION])
    command.rl_command(recipe, Run(recipe))
    assert composed(recipe).actor_rollout_ref.model.override_config.attn_implementation == "flash_attention_2"


def test_ranks_that_share_a_sequence_hold_it_together(monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    halved, shared = "rl.max_tokens_per_rank=6144", "rl.verl.actor_rollout_ref.{}.ulysses_sequence_parallel_size={}"
    policy = shared.format("actor", 2)
    recipe = load("qwen3_4b", [halved, FLASH_ATTENTION, policy])
    assert command.rl_command(recipe, Run(recipe))
    for lacking in ([], [policy, shared.format("ref", 1)]):
        recipe = load("qwen3_4b", [halved, FLASH_ATTENTION, *lacking])
        with pytest.raises(RecipeError, match=r"cannot hold one sequence of .* = 12288 tokens"):
            command.rl_command(recipe, Run(recipe))


@pytest.mark.parametrize(
    "override",
    [
        "rl.verl.algorithm.adv_estimator=reinforce_plus_plus",
        "rl.verl.trainer.n_gpus_per_node=4",  # RL on fewer ranks than SFT
        "rl.verl.trainer.experiment_name=mine",
        "rl.verl.reward.reward_manager.name=dapo",
        "rl.verl.actor_rollout_ref.actor.fsdp_config.offload_policy=true",
    ],
)
def test_what_the_recipe_has_no_key_of_its_own_for_can_be_set_under_verls_name(override):
    recipe = load("qwen3_4b", [override])
    command.rl_command(recipe, Run(recipe))


def test_a_policy_gradient_without_groups_takes_one_response_to_a_prompt():
    alone = [
        "rl.samples_per_prompt=1",
        "rl.mini_batch_prompts=128",
        "rl.verl.algorithm.adv_estimator=reinforce_plus_plus",
    ]
    recipe = load("qwen3_4b", alone)
    command.rl_command(recipe, Run(recipe))


@pytest.mark.parametrize("mode", LOSS_AGGREGATIONS)
def test_the_known_loss_aggregations_are_verls(mode):
    ones = torch.ones(2, 3)
    assert torch.isfinite(agg_loss(ones, ones, mode))


def test_verl_has_no_other_loss_aggregation():
    quoted = set(re.findall(r'"((?:seq-mean-)?token-[a-z-]+)"', inspect.getsource(agg_loss)))
    assert quoted == set(LOSS_AGGREGATIONS)


@pytest.mark.parametrize("hardware", [["gpus=1"], ["gpus=4"], ["gpus=8"], ["nodes=2"]])
def test_global_batch_sizes_do_not_follow_the_hardware(hardware):
    recipe = load("qwen3_4b", hardware)
    command.rl_command(recipe, Run(recipe))
    settings = command.verl_settings(recipe, Run(recipe))
    actor = settings["actor_rollout_ref"]["actor"]
    assert (settings["data"]["train_batch_size"], actor["ppo_mini_batch_size"]) == (128, 32)
    assert (actor["use_dynamic_bsz"], actor["ppo_max_token_len_per_gpu"]) == (True, 24576)


def test_workers_of_a_cluster_that_runs_already_get_the_environment(monkeypatch):
    recipe = load("tiny", ["nodes=2", "gpus=1", "hardware.device=cpu"])
    alone = command.rl_command(recipe, Run(recipe))
    assert not any("runtime_env" in word for word in alone.argv)
    monkeypatch.setenv("RAY_ADDRESS", "node1:6379")
    joined = configure(command.rl_command(recipe, Run(recipe)).argv[3:]).ray_kwargs.ray_init
    assert dict(joined.runtime_env.env_vars) == alone.env
    assert joined.num_cpus is None and "num_gpus" not in joined


def test_training_that_stopped_early_is_not_a_result(tmp_path):
    recipe = load("tiny", [f"output_dir={tmp_path}", "rl.steps=3"])
    run = Run(recipe)
    run.rl.mkdir(parents=True)
    (run.rl / "metrics.jsonl").write_text('{"step": 2, "total": 3}\n')
    with pytest.raises(ArtefactError, match="RL ended at step 2 of 3"):
        command.verify_rl(recipe, run)
