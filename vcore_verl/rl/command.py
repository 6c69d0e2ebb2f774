"""Recipe -> the command line of verl's PPO trainer. Imports neither torch nor verl."""

import json
import math
import sys
from dataclasses import asdict
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq

from reward import DOMAINS, warnings_for
from vcore_verl.attention import NAME
from vcore_verl.config.checks import rewards_programs
from vcore_verl.config.composition import ROOT
from vcore_verl.config.overrides import lookup, merge, to_overrides
from vcore_verl.config.recipe import Recipe
from vcore_verl.config.verl_keys import check_set_once
from vcore_verl.cpu import device_environment
from vcore_verl.rl.limits import check, check_fused_kernels
from vcore_verl.runs import tracking
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.runs.metrics_file import last_step, read
from vcore_verl.runtime.hardware import in_cluster, offload_threads
from vcore_verl.runtime.process import Command

# vLLM's default on a CPU is several GiB, which it zeroes at startup; this holds 65,000 tokens of the built-in model.
KV_CACHE_BYTES_ON_CPU = 2**28
REWARDS = ROOT / "reward"
CHECKPOINTS_KEPT = 2
ALGORITHM = "VCORE_ALGORITHM"  # environment variable that gives every process the algorithm, in JSON
WORKER = "vcore_verl.rl.worker"
BY_CONSTANT = "seq-mean-token-sum-norm"  # the aggregation that divides by a constant


def rl_command(recipe: Recipe, run: Run) -> Command:
    """`python -m vcore_verl.rl.main` with verl's settings as Hydra overrides. Raises `RecipeError` for settings that
    are inconsistent.
    """
    settings = verl_settings(recipe, run)
    check(recipe, settings)
    check_fused_kernels(settings, run)
    # RL may run on fewer ranks than SFT, or with other engines than evaluation.
    check_set_once(recipe, "rl", lambda changed: verl_settings(changed, run), free="hardware.")
    env = {"VCORE_METRICS": str((run.rl / "metrics.jsonl").resolve()), ALGORITHM: _algorithm(recipe)}
    env |= device_environment(recipe.hardware.device) | tracking.environment(recipe, run, run.rl)
    offloaded = lookup(settings, "actor_rollout_ref.actor.fsdp_config.offload_policy")
    if recipe.hardware.device == "cuda" and offloaded:
        env |= offload_threads(settings["trainer"]["n_gpus_per_node"])
    if in_cluster():
        settings = merge(settings, {"ray_kwargs": {"ray_init": {"+runtime_env": {"env_vars": env}}}})
    return Command(
        argv=[sys.executable, "-m", "vcore_verl.rl.main", *to_overrides(settings)],
        env=env,
        progress=run.rl / "metrics.jsonl",
        total=recipe.rl.steps,
        unit="step",
    )


def verify_rl(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless training reached its last step and saved a checkpoint there."""
    reached = last_step(run.rl / "metrics.jsonl")
    if reached != recipe.rl.steps:
        raise ArtefactError(f"RL ended at step {reached} of {recipe.rl.steps} ({run.rl / 'metrics.jsonl'})")
    marker = run.rl_checkpoints / "latest_checkpointed_iteration.txt"
    saved = marker.read_text().strip() if marker.exists() else "none"
    if saved != str(recipe.rl.steps):
        raise ArtefactError(f"RL's last checkpoint is of step {saved}, expected {recipe.rl.steps} ({marker})")


def reward_warnings(run: Run) -> list[str]:
    """Warnings about the rewards of a finished training, one line each."""
    steps = read(run.rl / "metrics.jsonl")
    names = [name for name in steps[-1] if name.startswith("reward/")]
    means = {name.removeprefix("reward/"): fmean(step[name] for step in steps) for name in names}
    ability = pq.read_table(run.data / "rl.parquet", columns=["ability"])["ability"][0].as_py()
    return warnings_for(means, DOMAINS[ability])


def verl_settings(recipe: Recipe, run: Run) -> dict[str, Any]:
    """The part of verl's PPO configuration (trainer/config/ppo_trainer.yaml) that the recipe sets, `rl.verl` on top."""
    settings = {
        "algorithm": {
            "adv_estimator": "grpo",
            "use_kl_in_reward": False,  # paper, Table 10
            "filter_groups": {"enable": recipe.rl.dynamic_sampling, "metric": "acc"},
        },
        "data": _data(recipe, run),
        "actor_rollout_ref": {
            "model": {
                "path": str(run.rl_start.resolve() if run.rl_start.exists() else run.rl_start),
                "external_lib": WORKER,
                "+override_config": {"attn_implementation": NAME},
                # Adapters stay separate from the weights in rollouts, too: verl would merge them in bfloat16
                # (lora.merge; workers/engine/fsdp/transformer_impl.py:1082), which loses most of a small update.
                "lora_rank": recipe.rl.lora.rank,
                "lora_alpha": recipe.rl.lora.alpha,
            },
            "actor": _actor(recipe),
            "ref": {"log_prob_micro_batch_size_per_gpu": None},
            "rollout": _rollout(recipe),
        },
        "reward": {"custom_reward_function": _reward_function(recipe, run)},
        "trainer": _trainer(recipe, run),
    }
    if recipe.rl.overlong_buffer:
        settings["reward"]["reward_manager"] = {"name": "dapo"}
        buffer = {"enable": True, "len": recipe.rl.overlong_buffer, "penalty_factor": 1.0, "log": False}
        kwargs = {"overlong_buffer_cfg": buffer, "max_resp_len": recipe.rl.max_response_tokens}
        settings["reward"]["+reward_kwargs"] = kwargs
    on_device = _on_cpu(recipe) if recipe.hardware.device == "cpu" else {}
    return merge(merge(merge(settings, recipe.rl.method.settings), on_device), recipe.rl.verl)


def _algorithm(recipe: Recipe) -> str:
    rl = recipe.rl
    return json.dumps({"name": rl.method.name, "file": rl.file, "settings": rl.settings})


def _reward_function(recipe: Recipe, run: Run) -> dict[str, Any]:
    function = {"path": str(REWARDS / "custom_reward_function.py"), "name": "compute_score_async"}
    if recipe.reward_file is None and rewards_programs(recipe):
        return function | {"+reward_kwargs": {"tests": str(run.tests.resolve()), **asdict(recipe.code)}}
    if recipe.reward_file is None:
        return function
    return function | {"path": str(REWARDS / "own.py"), "+reward_kwargs": {"file": recipe.reward_file}}


def _data(recipe: Recipe, run: Run) -> dict[str, Any]:
    train, tested = (str((run.data / f"{name}.parquet").resolve()) for name in ("rl", recipe.primary_dataset))
    # verl requires a validation set even if it never validates; evaluation is a separate stage.
    validation = {"val_files": tested} if recipe.rl.test_every else {"val_files": train, "val_max_samples": 1}
    return {
        "train_files": train,
        **validation,
        "train_batch_size": recipe.rl.prompts_per_step,
        "max_prompt_length": recipe.data.max_prompt_tokens,
        "max_response_length": recipe.rl.max_response_tokens,
        "filter_overlong_prompts": True,
        "seed": recipe.seed,
    }


def _actor(recipe: Recipe) -> dict[str, Any]:
    rl = recipe.rl
    precision = "fp32" if recipe.model.dtype == "float32" else "bf16"
    return {
        "strategy": "fsdp2",
        "ppo_mini_batch_size": rl.mini_batch_prompts,
        "use_dynamic_bsz": True,
        "ppo_max_token_len_per_gpu": rl.max_tokens_per_rank,
        "clip_ratio_low": rl.clip_low,
        "clip_ratio_high": rl.clip_high,
        "use_kl_loss": rl.kl_coef > 0,
        "kl_loss_coef": rl.kl_coef,
        "kl_loss_type": "low_var_kl",  # paper, Table 10
        "entropy_coeff": rl.entropy_coef,
        "calculate_entropy": True,
        "loss_agg_mode": rl.loss_aggregation,
        # verl's default is the width to which a micro-batch is padded (trainer/ppo/core_algos.py:1184), which differs.
        "loss_scale_factor": rl.max_response_tokens if rl.loss_aggregation == BY_CONSTANT else None,
        "data_loader_seed": recipe.seed,
        "optim": {
            "lr": rl.learning_rate,
            "lr_scheduler_type": rl.schedule,
            "lr_warmup_steps_ratio": rl.warmup_ratio,
        },
        "fsdp_config": {"+mixed_precision": {"param_dtype": precision, "reduce_dtype": "fp32", "buffer_dtype": "fp32"}},
    }


def _rollout(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": "vllm",
        "n": recipe.rl.samples_per_prompt,
        "temperature": recipe.rl.temperature,
        "dtype": recipe.model.dtype,
        "tensor_model_parallel_size": recipe.hardware.tensor_parallel,
        "max_model_len": recipe.data.max_prompt_tokens + recipe.rl.max_response_tokens,
        "seed": recipe.seed,
        # Needed only to correct for the mismatch of rollouts and training; costs a log-softmax for every token.
        "calculate_log_probs": "rollout_correction" in recipe.rl.verl.get("algorithm", {}),
        # With LoRA, vLLM reads the frozen weights from the checkpoint, and verl sends only the adapters
        # (workers/engine_workers.py:673); otherwise all weights come from the actor.
        "load_format": "auto" if recipe.rl.lora.rank else "dummy",
        "val_kwargs": {
            "n": 1,
            "do_sample": True,
            "temperature": recipe.evaluation.temperature,
            "top_p": recipe.evaluation.top_p,
        },
    }


def _trainer(recipe: Recipe, run: Run) -> dict[str, Any]:
    steps_per_epoch = max(1, recipe.data.num_rl // recipe.rl.prompts_per_step)
    return {
        "n_gpus_per_node": recipe.hardware.gpus,
        "nnodes": recipe.hardware.nodes,
        "total_training_steps": recipe.rl.steps,
        "total_epochs": math.ceil(recipe.rl.steps / steps_per_epoch),
        "save_freq": recipe.rl.save_every,
        "max_actor_ckpt_to_keep": CHECKPOINTS_KEPT,
        "default_local_dir": str(run.rl_checkpoints.resolve()),
        "val_before_train": False,
        "test_freq": recipe.rl.test_every or -1,
        "logger": ["console", *recipe.tracking],
        "project_name": recipe.name,
        "experiment_name": tracking.run_name(recipe, "rl"),
        "v1": {"trainer_mode": "vcore_sync"},
    }


def _on_cpu(recipe: Recipe) -> dict[str, Any]:
    """Settings for a machine without an accelerator; each was measured to be necessary or to save time."""
    # Logical resources: verl counts ranks in GPUs, and its many light actors ask for a CPU each.
    ray = {"+num_gpus": recipe.hardware.gpus, "num_cpus": 16 * recipe.hardware.gpus}
    ray |= {"+include_dashboard": False, "+object_store_memory": 2**30}
    return {
        "actor_rollout_ref": {
            "model": {"enable_gradient_checkpointing": False},
            "actor": {"use_torch_compile": False, "fsdp_config": {"use_torch_compile": False}},
            "ref": {"fsdp_config": {"use_torch_compile": False, "+mixed_precision": {"param_dtype": "fp32"}}},
            "rollout": {
                "enforce_eager": True,
                # vLLM's sleep mode frees GPU memory; it does not exist on a CPU.
                "free_cache_engine": False,
                "+enable_sleep_mode": False,
                "engine_kwargs": {"vllm": {"+kv_cache_memory_bytes": KV_CACHE_BYTES_ON_CPU}},
                "agent": {"num_workers": 1},
            },
        },
        "data": {"dataloader_num_workers": 0},
        "reward": {"num_workers": 1},
        "transfer_queue": {"backend": {"SimpleStorage": {"num_data_storage_units": 1}}},
        "ray_kwargs": {"ray_init": {} if in_cluster() else ray},
        "trainer": {"device": "cpu"},
    }
