"""What the benchmarks of the SFT objectives share: one process group, trainers on verl's real engine, a model to
measure.

The scripts run in one process, on CUDA where there is a device, else on the CPU platform.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "sft")]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["VERL_PLATFORM"] = "cpu"  # before verl is imported
for _key, _value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}.items():
    os.environ.setdefault(_key, _value)
os.environ.setdefault("MASTER_PORT", str(20_000 + os.getpid() % 10_000))

import exact  # noqa: E402, F401
from hydra import compose, initialize_config_module  # noqa: E402
from launch import settings  # noqa: E402
from tiny import make_start  # noqa: E402, F401
from verl.trainer.sft_trainer import SFTTrainer  # noqa: E402
from verl.utils import distributed  # noqa: E402
from verl.utils import tensordict_utils as tu  # noqa: E402

from vcore_verl.attention import NAME  # noqa: E402
from vcore_verl.config.overrides import merge  # noqa: E402
from vcore_verl.cpu import external_library  # noqa: E402
from vcore_verl.sft.command import ON_CPU  # noqa: E402
from vcore_verl.sft.trainer import ObjectiveTrainer  # noqa: E402

BF16 = {"engine": {"+mixed_precision": {"param_dtype": "bf16"}}}


def start_process_group() -> None:
    distributed.initialize_global_process_group()


def make_trainer(start: Path, init: dict | None, **changes: Any) -> Any:
    """Our trainer for the recipe section `init`, or stock verl's where it is None; nothing is written."""
    precision = changes.get("engine", {}).get("+mixed_precision", {}).get("param_dtype", "fp32")
    # No flash kernel of a GPU takes float32, and sdpa has no forward-mode rule.
    attention = "eager" if DEVICE == "cuda" and precision == "fp32" else NAME
    fixed = {
        "trainer": {"resume_mode": "disable", "save_freq": -1},
        "data": {"max_token_len_per_gpu": 65536},
        "model": {
            "external_lib": external_library(DEVICE),
            "+override_config": {"attn_implementation": attention},
        },
    }
    section = {"+init": init} if init else {}
    platform = ON_CPU if DEVICE == "cpu" else {}
    overrides = settings(start, start / "out", 1, platform, **merge(merge(fixed, changes), section))
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("sft_trainer_engine", overrides=overrides)
    return ObjectiveTrainer(config) if init else SFTTrainer(config)


def make_batch(trainer: Any, indices: list[int], cutoff_tokens: int | None = None) -> Any:
    """Examples as verl's `fit` hands them to `train_batch`; works for stock verl's trainer too."""
    batch = ObjectiveTrainer.batch(trainer, indices, cutoff_tokens)
    lengths = batch["input_ids"].offsets().diff().tolist()
    tu.assign_non_tensor(batch, update_lr_scheduler=False, global_token_num=tu.NonTensorData(lengths))
    return batch


def table(header: list[str], rows: list[list[Any]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__}"
