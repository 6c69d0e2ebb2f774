"""The command line of the SFT stage and the verification of its result. Imports no torch."""

import dataclasses
import socket
import sys
from pathlib import Path
from typing import Any

from vcore_verl.attention import NAME
from vcore_verl.config.overrides import lookup, merge, to_overrides
from vcore_verl.config.recipe import Recipe
from vcore_verl.config.verl_keys import check_set_once
from vcore_verl.cpu import device_environment, external_library
from vcore_verl.runs import tracking
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.runs.metrics_file import read
from vcore_verl.runtime.hardware import expandable_segments, offload_threads
from vcore_verl.runtime.process import Command
from vcore_verl.sft.limits import check

ON_EVERY_NODE = ("srun", "--overlap", "--cpu-bind=none", "--kill-on-bad-exit=1")
RENDEZVOUS_PORT = 29400  # torchrun's default
CHECKPOINTS_KEPT = 2  # verl deletes the oldest before it writes the newest
# Settings for a machine without an accelerator.
ON_CPU: dict[str, Any] = {
    "model": {
        "external_lib": external_library("cpu"),
        "enable_gradient_checkpointing": False,
    },
    "engine": {"use_torch_compile": False},
    "trainer": {"device": "cpu"},
}


def sft_command(recipe: Recipe, run: Run) -> Command:
    """torchrun with one process per rank, through Slurm on several nodes. Raises `RecipeError` for incompatible
    settings.
    """
    chosen = verl_settings(recipe, run)
    check(recipe, chosen)
    check_set_once(recipe, "sft", lambda changed: verl_settings(changed, run))
    return Command(
        argv=[*_torchrun(recipe), "-m", "vcore_verl.sft.main", *to_overrides(chosen)],
        env=_environment(recipe, run, chosen),
        progress=run.sft / "metrics.jsonl",
        total=recipe.sft.steps,
        unit="step",
    )


def _environment(recipe: Recipe, run: Run, verl: dict[str, Any]) -> dict[str, str]:
    environment = device_environment(recipe.hardware.device) | tracking.environment(recipe, run, run.sft)
    if recipe.hardware.device == "cuda":
        environment |= expandable_segments()
        if lookup(verl, "engine.offload_policy"):
            environment |= offload_threads(recipe.hardware.gpus)
    return environment


def _torchrun(recipe: Recipe) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={recipe.hardware.gpus}"]
    nodes = recipe.hardware.nodes
    if nodes == 1:
        return [*torchrun, "--standalone"]
    # By name: if the host name resolves to loopback, torchrun does not recognise its own address
    # (torch/distributed/elastic/rendezvous/utils.py:117) and waits for another machine to open the port.
    endpoint = f"--rdzv-endpoint={socket.gethostname()}:{RENDEZVOUS_PORT}"
    rendezvous = ["--rdzv-backend=c10d", endpoint, f"--rdzv-id={recipe.name}"]
    return [*ON_EVERY_NODE, f"--nodes={nodes}", f"--ntasks={nodes}", *torchrun, f"--nnodes={nodes}", *rendezvous]


def verl_settings(recipe: Recipe, run: Run) -> dict[str, Any]:
    """The part of verl's SFT configuration (trainer/config/sft_trainer_engine.yaml) that the recipe determines, and our
    own keys.
    """
    precision = "fp32" if recipe.model.dtype == "float32" else "bf16"
    settings = {
        "model": {
            "path": str(run.sft_start.resolve() if run.sft_start.exists() else run.sft_start),
            "external_lib": external_library(recipe.hardware.device),
            "+override_config": {"attn_implementation": NAME},
            "lora_rank": recipe.model.lora.rank,
            "lora_alpha": recipe.model.lora.alpha,
            "lora": {"dropout": recipe.model.lora.dropout},
        },
        "engine": {
            "strategy": "fsdp2",
            "model_dtype": "fp32",  # of the trained parameters; computation runs in param_dtype
            "+mixed_precision": {"param_dtype": precision, "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
        },
        "optim": {
            "lr": recipe.sft.learning_rate,
            "lr_scheduler_type": recipe.sft.schedule,
            "lr_warmup_steps_ratio": recipe.sft.warmup_ratio,
            "betas": list(recipe.sft.betas),
            "weight_decay": recipe.sft.weight_decay,
            "clip_grad": recipe.sft.clip_grad,
        },
        "data": _data(recipe, run),
        "trainer": _trainer(recipe, run),
        "+init": dataclasses.asdict(recipe.init),
        "+metrics_file": str((run.sft / "metrics.jsonl").resolve()),
    }
    return merge(merge(settings, ON_CPU if recipe.hardware.device == "cpu" else {}), recipe.sft.verl)


def _data(recipe: Recipe, run: Run) -> dict[str, Any]:
    return {
        "train_files": [str((run.data / "sft.parquet").resolve())],
        "custom_cls": {"path": "pkg://vcore_verl.sft.dataset", "name": "SupervisedDataset"},
        "train_batch_size": recipe.sft.batch_size,
        "max_token_len_per_gpu": recipe.sft.max_tokens_per_rank,
        "max_length": recipe.data.cutoff_tokens,
        "truncation": "right" if recipe.data.overlong == "truncate" else "error",
        "num_workers": 0,  # tokenising a batch takes far less time than training on it
    }


def _trainer(recipe: Recipe, run: Run) -> dict[str, Any]:
    return {
        "default_local_dir": str(run.sft_checkpoints.resolve()),
        "project_name": recipe.name,
        "experiment_name": tracking.run_name(recipe, "sft"),
        "total_training_steps": recipe.sft.steps,
        "total_epochs": recipe.sft.steps,  # an upper bound: an epoch has at least one step
        "save_freq": recipe.sft.save_every,
        "max_ckpt_to_keep": CHECKPOINTS_KEPT,
        "seed": recipe.seed,
        "logger": recipe.tracking,
        "nnodes": recipe.hardware.nodes,
        "n_gpus_per_node": recipe.hardware.gpus,
    }


def verify_sft(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless every step was logged and the last step's checkpoint is complete on disk."""
    metrics = run.sft / "metrics.jsonl"
    steps = [line["step"] for line in read(metrics)]
    if steps != list(range(1, recipe.sft.steps + 1)):
        last = steps[-1] if steps else "none"
        raise ArtefactError(f"{metrics} has {len(steps)} steps ending at {last}, expected 1 to {recipe.sft.steps}")
    for shard in final_shards(recipe, run):
        if not shard.is_file() or shard.stat().st_size == 0:
            raise ArtefactError(f"the checkpoint of SFT's last step is incomplete: {shard} is missing")


def final_shards(recipe: Recipe, run: Run) -> list[Path]:
    """The last step's parameter files, one per training rank: that rank's shard of each parameter, as DTensors.

    Configuration and tokenizer are in `huggingface/` in the same folder.
    """
    folder = run.sft_checkpoints / f"global_step_{recipe.sft.steps}"
    first = next(folder.glob("model_world_size_*_rank_*.pt"), None)
    ranks = int(first.stem.split("_")[3]) if first else recipe.hardware.gpus * recipe.hardware.nodes
    return [folder / f"model_world_size_{ranks}_rank_{rank}.pt" for rank in range(ranks)]
