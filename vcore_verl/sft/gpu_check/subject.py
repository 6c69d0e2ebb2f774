"""A random model in verl's SFT engine, with a recipe's settings, and batches of random tokens for it."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from transformers import AutoConfig, AutoModelForCausalLM
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.dataset.dataset_utils import DatasetPadMode, SFTTensorCollator
from verl.workers.config import TrainingWorkerConfig

from vcore_verl.builtin.families import build_tokenizer
from vcore_verl.builtin.random_model import VOCABULARY, sample_texts
from vcore_verl.config.overrides import merge, to_overrides
from vcore_verl.config.recipe import Recipe
from vcore_verl.runs.layout import Run
from vcore_verl.sft.command import verl_settings
from vcore_verl.sft.main import configure
from vcore_verl.sft.worker import ObjectiveWorker

PROMPT = 8  # one in this many tokens of a sequence is prompt, not supervised


def save_model(shape: dict[str, Any], folder: Path) -> None:
    """Save a model of this configuration with random bfloat16 weights, and a tokenizer that nothing uses."""
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape), dtype=torch.bfloat16).save_pretrained(folder)
    build_tokenizer("qwen3", sample_texts(), VOCABULARY).save_pretrained(folder)


def worker(recipe: Recipe, folder: Path) -> ObjectiveWorker:
    """The worker of a rank of the recipe's SFT, for the model in `folder`; writes nothing."""
    settings = merge(verl_settings(recipe, Run(recipe)), {"model": {"path": str(folder)}})
    with redirect_stdout(io.StringIO()):  # verl's startup messages
        config = configure(to_overrides(settings))
        parts = {
            name: omega_conf_to_dataclass(config[key])
            for name, key in {
                "model_config": "model",
                "engine_config": "engine",
                "optimizer_config": "optim",
                "checkpoint_config": "checkpoint",
                "profiler_config": "profiler",
            }.items()
        }
        parts["optimizer_config"].total_training_steps = recipe.sft.steps
        made = ObjectiveWorker(TrainingWorkerConfig(model_type="language_model", **parts), recipe.init, recipe.seed)
        made.reset()
    return made


def batch(lengths: tuple[int, ...], vocab: int, seed: int) -> TensorDict:
    """Random token sequences as one micro-batch, in the form that verl's `fit` passes to a training step."""
    generator = torch.Generator().manual_seed(seed)
    items: list[dict[str, Any]] = [
        {
            "input_ids": torch.randint(vocab, (length,), generator=generator),
            "position_ids": torch.arange(length),
            "loss_mask": (torch.arange(length) >= length // PROMPT).long(),
            "answer_mask": torch.zeros(length, dtype=torch.long),
            "index": torch.tensor([index]),
        }
        for index, length in enumerate(lengths)
    ]
    meta = {
        "use_remove_padding": True,
        "use_dynamic_bsz": True,
        "max_token_len_per_gpu": sum(lengths),
        "micro_batch_size_per_gpu": len(lengths),
        "temperature": 1.0,
        "global_batch_size": len(lengths),
        "pad_mode": DatasetPadMode.NO_PADDING,
        "pad_token_id": 0,
        "update_lr_scheduler": False,
        "global_token_num": tu.NonTensorData(list(lengths)),
    }
    return tu.get_tensordict(tensor_dict=SFTTensorCollator(DatasetPadMode.NO_PADDING)(items), non_tensor_dict=meta)


def always(probing: TensorDict) -> Callable[[int], TensorDict]:
    """A `draw` function that returns `probing` as the batch B' of every step."""
    return lambda _: probing.copy()
