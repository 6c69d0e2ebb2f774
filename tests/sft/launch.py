"""Starting ranks of the real stack, and settings for a tiny model."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from vcore_verl.attention import NAME
from vcore_verl.config.overrides import merge, to_overrides
from vcore_verl.cpu import cpu_environment
from vcore_verl.sft.command import ON_CPU

ROOT = Path(__file__).resolve().parents[2]
SFT = ("-m", "vcore_verl.sft.main")


def torchrun(ranks: int, *arguments: str, log: Path, wait: bool = True) -> subprocess.Popen:
    """Run a module or script on `ranks` CPU processes in a process group of its own; its output goes to `log`."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environment = os.environ | cpu_environment() | {"PYTHONPATH": str(ROOT)}
    with log.open("w") as file:
        process = subprocess.Popen(
            [*launcher, *arguments], env=environment, cwd=log.parent, stdout=file, stderr=file, start_new_session=True
        )
    if wait and process.wait(timeout=300):
        pytest.fail(f"{arguments[:2]} failed:\n{log.read_text()[-3000:]}")
    return process


def kill(process: subprocess.Popen) -> None:
    """kill -9 for a launcher and its ranks, which torchrun puts into sessions of their own."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.kill()
    psutil.wait_procs(family)


def settings(start: Path, output: Path, ranks: int, platform: dict[str, Any] = ON_CPU, **changes: Any) -> list[str]:
    """Overrides of verl's SFT configuration for the tiny model; `changes` are top-level nested settings on top."""

    precision = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
    nested: dict[str, Any] = {
        "model": {"path": str(start / "base"), "+override_config": {"attn_implementation": NAME}},
        "engine": {"strategy": "fsdp2", "model_dtype": "fp32", "+mixed_precision": precision},
        "optim": {"lr": 1e-3, "lr_scheduler_type": "cosine"},
        "data": {
            "train_files": [str(start / "sft.parquet")],
            "custom_cls": {"path": "pkg://vcore_verl.sft.dataset", "name": "SupervisedDataset"},
            "train_batch_size": 8,
            "max_token_len_per_gpu": 2048,
            "max_length": 512,
            "num_workers": 0,
        },
        "trainer": {
            "default_local_dir": str(output / "checkpoints"),
            "total_training_steps": 6,
            "total_epochs": 6,
            "seed": 0,
            "logger": [],
            "n_gpus_per_node": ranks,
        },
        "+init": {"name": "sft"},
        "+metrics_file": str(output / "metrics.jsonl"),
    }
    return to_overrides(merge(merge(nested, platform), changes))
