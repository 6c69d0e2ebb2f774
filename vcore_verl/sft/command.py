"""The SFT stage as a command line, and how its result is verified. Imports no torch."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcore_verl.process import Command
from vcore_verl.recipe import Recipe, settings
from vcore_verl.run import ArtefactError, Run


def sft_command(recipe: Recipe, run: Run) -> Command:
    """torchrun with one process per rank of this node; `recipe.hardware.device` must be resolved to cuda or cpu.

    On several nodes each node's launcher runs it with torchrun's rendezvous variables MASTER_ADDR and MASTER_PORT set.
    """
    nodes = recipe.hardware.nodes
    rendezvous = ["--standalone"]
    if nodes > 1:
        endpoint = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        rendezvous = [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={endpoint}", f"--rdzv-id={recipe.name}"]
    launcher = [sys.executable, "-m", "torch.distributed.run", *rendezvous, f"--nproc-per-node={recipe.hardware.gpus}"]
    return Command(
        argv=[*launcher, "-m", "vcore_verl.sft.main", *overrides(recipe, run)],
        env={"TOKENIZERS_PARALLELISM": "false"},
        progress=run.sft / "metrics.jsonl",
        total=recipe.sft.steps,
        unit="step",
    )


def overrides(recipe: Recipe, run: Run) -> list[str]:
    """Hydra overrides for verl's configuration `sft_trainer_engine`."""
    sft, cpu = recipe.sft, recipe.hardware.device == "cpu"
    precision = "bf16" if recipe.model.dtype == "bfloat16" else "fp32"
    config: dict[str, Any] = {
        "model.path": run.sft_start,
        "model.lora_rank": recipe.model.lora.rank,
        "model.lora_alpha": recipe.model.lora.alpha,
        "model.lora.dropout": recipe.model.lora.dropout,
        "model.use_remove_padding": not cpu,  # packed rows need a variable-length attention kernel to pay
        "model.enable_gradient_checkpointing": not cpu,
        "engine.strategy": "fsdp2",
        "engine.model_dtype": "fp32",  # master weights; computation runs in mixed_precision.param_dtype
        "+engine.mixed_precision": {"param_dtype": precision, "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
        "engine.use_torch_compile": not cpu,
        "optim.lr": sft.learning_rate,
        "optim.lr_scheduler_type": sft.schedule,
        "optim.lr_warmup_steps_ratio": sft.warmup_ratio,
        "optim.betas": sft.betas,
        "optim.weight_decay": sft.weight_decay,
        "optim.clip_grad": sft.clip_grad,
        "data.train_files": [run.data / "sft.parquet"],
        "data.custom_cls.path": "pkg://vcore_verl.sft.dataset",
        "data.custom_cls.name": "SupervisedDataset",
        "data.train_batch_size": sft.batch_size,
        "data.max_token_len_per_gpu": sft.max_tokens_per_rank,
        "data.max_length": recipe.data.cutoff_tokens,
        "data.num_workers": 0,
        "trainer.default_local_dir": run.sft_checkpoints,
        "trainer.project_name": recipe.name,
        "trainer.experiment_name": f"{recipe.init.name}-seed{recipe.seed}",
        "trainer.total_training_steps": sft.steps,
        "trainer.total_epochs": sft.steps,  # an upper bound: an epoch has at least one step
        "trainer.save_freq": sft.save_every,
        "trainer.max_ckpt_to_keep": 2,  # verl deletes the oldest before it writes the newest
        "trainer.seed": recipe.seed,
        "trainer.logger": [],
        "trainer.device": recipe.hardware.device,
        "trainer.nnodes": recipe.hardware.nodes,
        "trainer.n_gpus_per_node": recipe.hardware.gpus,
        "+metrics_file": run.sft / "metrics.jsonl",
    }
    if cpu:
        config["model.external_lib"] = "vcore_verl.platform.engine"
        config["+model.override_config.attn_implementation"] = "sdpa"
    config |= {f"+{key}": value for key, value in settings(recipe).items() if key.startswith("init.")}
    given = {"++" + key: value for key, value in _leaves(sft.verl, "")}
    return [f"{key}={_literal(value)}" for key, value in (config | given).items()]


def verify_sft(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless every step was logged and the last step's checkpoint is complete on disk."""
    metrics = run.sft / "metrics.jsonl"
    if not metrics.exists():
        raise ArtefactError(f"SFT left no {metrics}")
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    if steps != list(range(1, recipe.sft.steps + 1)):
        raise ArtefactError(f"{metrics} has {len(steps)} steps ending at {steps[-1:] or 'none'}, expected 1 to {recipe.sft.steps}")
    for shard in final_shards(recipe, run):
        if not shard.is_file() or shard.stat().st_size == 0:
            raise ArtefactError(f"the checkpoint of SFT's last step is incomplete: {shard} is missing")


def final_checkpoint(recipe: Recipe, run: Run) -> Path:
    """Directory of the last step's checkpoint: FSDP shards, and configuration and tokenizer below `huggingface/`."""
    return run.sft_checkpoints / f"global_step_{recipe.sft.steps}"


def final_shards(recipe: Recipe, run: Run) -> list[Path]:
    """One file per rank: this rank's part of every parameter, as DTensors."""
    ranks = recipe.hardware.gpus * recipe.hardware.nodes
    return [final_checkpoint(recipe, run) / f"model_world_size_{ranks}_rank_{rank}.pt" for rank in range(ranks)]


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _literal(value: Any) -> str:
    """A value in Hydra's override grammar."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_literal, value)) + "]"
    if isinstance(value, str | Path):
        quoted = str(value).replace("\\", "\\\\").replace("'", "\\'")
        return f"'{quoted}'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
