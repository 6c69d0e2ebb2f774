"""A web page of training examples whose tokens are coloured by the weight that an objective gives them.

Examples of two runs are shown side by side. The model is the one before or after SFT. If the data give the kind of
every part of the text, a table shows how weight is distributed over the kinds.
"""

import io
import logging
import os
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import torch
from tensordict import TensorDict
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from vcore_verl.config.overrides import merge, to_overrides
from vcore_verl.config.recipe import Recipe, RecipeError, read
from vcore_verl.cpu import device_environment
from vcore_verl.data.rendering import render
from vcore_verl.runs.layout import RECIPE, Run
from vcore_verl.sft.command import verl_settings
from vcore_verl.sft.dataset import token_kinds
from vcore_verl.sft.page import WeightedExample, weights_page


def view_weights(runs: Sequence[Path], at: str, shown: int, measured: int, output: Path) -> None:
    """Write the page on `runs` to `output`: `shown` examples, and a table of kinds computed from `measured` examples.

    Raises `RecipeError` for a directory that is not a run with SFT, or whose model is missing.
    """
    found = [_checked(directory, at) for directory in runs]
    # Silence the startup messages of verl, torch and transformers.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    disable_progress_bar()
    start_process_group()
    arms = {f"{run.arm}, seed {run.recipe.seed}, {at} of SFT": weighted_examples(run, at, measured) for run in found}
    output.write_text(weights_page(arms, shown))


def _checked(directory: Path, at: str) -> Run:
    if not (directory / RECIPE).is_file():
        raise RecipeError(f"{directory} is not a run: give runs/<recipe>/<init>/seed<k>")
    run = Run(read(directory / RECIPE))
    if not run.recipe.has_sft:
        raise RecipeError(f"{directory} has no SFT whose weights could be shown")
    if needs_history(run.recipe):
        raise RecipeError(f"{directory}: its weights follow from past steps too, which no checkpoint in it holds")
    model = _model(run, at)
    if not (model / "config.json").is_file():
        raise RecipeError(f"{model} is not there: run the recipe first, from the directory that holds {run.root}")
    return run


def needs_history(recipe: Recipe) -> bool:
    """Whether the weights depend on past training steps: those from a checkpoint alone would mislead."""
    probe = recipe.init.probing
    past = probe is not None and (probe.gradient == "running" or probe.update != "sgd")
    return past or "old" in recipe.init.needs


def _model(run: Run, at: str) -> Path:
    return run.sft_start if at == "start" else run.sft_hf


def start_process_group() -> None:
    """Start a process group of one rank, on CUDA if available; verl's engine needs one even then."""
    environment = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ.update(environment | device_environment(_device()))
    from verl.utils import distributed

    distributed.initialize_global_process_group()


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def weighted_examples(run: Run, at: str, count: int) -> list[WeightedExample]:
    """The first `count` training examples of a run, weighted by its objective with the model `at` start or end of SFT.

    Occupies the process: the process group and verl's engine live until it exits.
    """
    hardware = replace(run.recipe.hardware, device=_device())  # this machine's, not that of the training
    trainer = _trainer(replace(run.recipe, hardware=hardware), _model(run, at))
    measured = _measure(trainer, list(range(min(count, len(trainer.train_dataset)))))
    table = pyarrow.parquet.read_table(run.data / "sft.parquet")
    known = "spans" in table.column_names and trainer.training_client.loss_fn.objective.rewrite is None
    spans = table["spans"].to_pylist() if known else [None] * len(table)
    return [_example(trainer, index, *measured[index], spans[index]) for index in sorted(measured)]


def _trainer(recipe: Recipe, model: Path) -> Any:
    # Import verl only after the environment selects the device.
    from vcore_verl.sft.main import configure
    from vcore_verl.sft.trainer import ObjectiveTrainer

    alone = {"resume_mode": "disable", "nnodes": 1, "n_gpus_per_node": 1}
    settings = merge(verl_settings(recipe, Run(recipe)), {"model": {"path": str(model)}, "trainer": alone})
    config = configure(to_overrides(settings))
    with redirect_stdout(io.StringIO()):  # verl prints its whole configuration
        return ObjectiveTrainer(config)


def _measure(trainer: Any, indices: list[int]) -> dict[int, tuple[Tensor, Tensor]]:
    """Example -> (weights, losses) of its supervised tokens, as a training step would compute them."""
    from vcore_verl.sft.loss import Selection

    worker = trainer.training_client
    found: dict[int, tuple[Tensor, Tensor]] = {}

    def record(model_output: dict[str, Tensor], data: TensorDict, dp_group: Any = None) -> tuple[Tensor, dict]:
        selection = Selection.of(data)
        tokens = worker.loss_fn.tokens(model_output["log_probs"].values(), selection, data)
        counts = selection.cu_seqlens_S1.diff().tolist()
        rows = zip(worker.loss_fn.weigh(tokens).weights_T.split(counts), tokens.loss_T.split(counts), strict=True)
        found.update(zip(tokens.example_S.tolist(), rows, strict=True))
        return torch.zeros(()), {}

    batch = trainer.batch(indices)
    worker.look_ahead(batch, 1)
    with trainer.engine.train_mode():
        trainer.engine.forward_backward_batch(batch, record, forward_only=True)
    return found


def _example(trainer: Any, index: int, weights: Tensor, losses: Tensor, spans: list[dict] | None) -> WeightedExample:
    tokenizer, data = trainer.model_config.tokenizer, trainer.train_dataset
    rendering = render(tokenizer, data.messages[index], data.template_kwargs)
    prompt, response = rendering.input_ids[: rendering.prompt_length], rendering.input_ids[rendering.prompt_length :]
    kinds = token_kinds(rendering, spans)[: len(weights)] if spans else None
    tokens = [tokenizer.decode([token]) for token in response[: len(weights)]]
    return WeightedExample(tokenizer.decode(prompt), tokens, weights.tolist(), losses.tolist(), kinds)
