"""Log-probabilities of the training set under the initial model: computed once, cached next to the data."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from verl.utils.device import get_device_name

from vcore_verl.runs.hashing import replacement
from vcore_verl.sft.probe.passes import log_probs

if TYPE_CHECKING:
    from vcore_verl.sft.trainer import ObjectiveTrainer

# The log-probabilities depend on them: another version may round differently.
PACKAGES = ("torch", "transformers", "verl")


def reference_log_probs(trainer: "ObjectiveTrainer") -> list[Tensor]:
    """One float32 tensor of length L per training example: log p of each next token, without dropout.

    Call this while the model still has its initial parameters. All ranks take part, but only rank 0 uses the cache:
    nodes need not share a file system.
    """
    path = _cache_file(trainer) if trainer.rank == 0 else None
    cached = [torch.load(path) if path is not None and path.exists() else None]
    torch.distributed.broadcast_object_list(cached)
    if cached[0] is not None:
        return cached[0]
    computed = _compute(trainer)
    if path is not None:
        with replacement(path) as partial:
            torch.save(computed, partial)
    return computed


def _cache_file(trainer: "ObjectiveTrainer") -> Path:
    """Path named after a hash of what the result depends on: training files, model, tokenizer, arithmetic."""
    digest = hashlib.sha256()
    files, model = [Path(file) for file in trainer.train_dataset.files], Path(trainer.model_config.local_path)
    for file in [*files, *sorted(model.glob("*.json")), *sorted(model.glob("*.jinja"))]:
        digest.update(file.read_bytes())
    for weights in sorted(model.glob("*.safetensors")):
        status = weights.stat()
        digest.update(f"{weights.resolve()} {status.st_size} {status.st_mtime_ns}".encode())
    dataset = trainer.train_dataset
    digest.update(f"{len(dataset)} {dataset.max_length} {dataset.template_kwargs} {_arithmetic(trainer)}".encode())
    return files[0].with_name(f"{files[0].stem}.reference-{digest.hexdigest()[:16]}.pt")


def _arithmetic(trainer: "ObjectiveTrainer") -> dict[str, Any]:
    """Everything that affects rounding in the same forward pass."""
    engine: Any = trainer.engine
    return {
        "computation": engine._autocast_dtype,
        "parameters": trainer.engine_config.model_dtype,
        "attention": engine.module.config._attn_implementation,
        "packed": trainer.config.model.use_remove_padding,
        "device": get_device_name(),
        **{package: version(package) for package in PACKAGES},
    }


def _compute(trainer: "ObjectiveTrainer") -> list[Tensor]:
    engine, examples = trainer.engine, len(trainer.train_dataset)
    ranks, rank = engine.get_data_parallel_size(), engine.get_data_parallel_rank()
    # Every rank must make the same number of passes; the padding repeats the last example.
    share = -(-examples // ranks)
    mine = [min(rank * share + k, examples - 1) for k in range(share)]
    size = trainer.train_batch_size_per_dp
    found: dict[int, Tensor] = {}
    with engine.eval_mode():
        for start in range(0, share, size):
            indices = mine[start : start + size]
            nested = log_probs(engine, trainer.batch(indices))
            # Cloned: on the CPU each row would be sent and saved with the storage of the whole batch.
            found |= {index: row.float().cpu().clone() for index, row in zip(indices, nested.unbind(), strict=True)}
    gathered: list[dict[int, Tensor]] = [{} for _ in range(ranks)]
    torch.distributed.all_gather_object(gathered, found, group=engine.get_data_parallel_group())
    everything = {index: row for part in gathered for index, row in part.items()}
    return [everything[index] for index in range(examples)]
