"""Where an objective puts its weight: training examples with their tokens coloured, as one web page.

With two runs the examples stand side by side. The model is the one that SFT started from, or the one that it made.
Where the data say of what kind each stretch of text is, a table tells how the weight divides between the kinds.
"""

import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import torch
from hydra import compose, initialize_config_module
from tensordict import TensorDict
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from vcore_verl.config.overrides import merge, to_overrides
from vcore_verl.config.recipe import Recipe, RecipeError, read
from vcore_verl.cpu import device_environment
from vcore_verl.runs.layout import Run
from vcore_verl.sft.page import WeightedExample, weights_page


def weighted_examples(directory: Path, at: str, count: int) -> list[WeightedExample]:
    """The first `count` training examples of a run as its objective weighs them, with the model at `start` or `end`.

    Takes over the process: the process group and verl's engine live on until it ends.
    """
    recipe = read(directory / "recipe.yaml")
    recipe = replace(recipe, hardware=replace(recipe.hardware, device=_device()))  # not where the run was trained
    run = Run(recipe)
    trainer = _trainer(recipe, run, _model(run, at))
    measured = _measure(trainer, list(range(min(count, len(trainer.train_dataset)))))
    table = pyarrow.parquet.read_table(run.data / "sft.parquet")
    spans = table["spans"].to_pylist() if "spans" in table.column_names else [None] * len(table)
    return [_example(trainer, index, *measured[index], spans[index]) for index in sorted(measured)]


def _trainer(recipe: Recipe, run: Run, model: Path) -> Any:
    from vcore_verl.sft.command import verl_settings
    from vcore_verl.sft.trainer import ObjectiveTrainer

    alone = {
        "model": {"path": str(model)},
        "trainer": {"resume_mode": "disable", "nnodes": 1, "n_gpus_per_node": 1},
    }
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("sft_trainer_engine", overrides=to_overrides(merge(verl_settings(recipe, run), alone)))
    with redirect_stdout(io.StringIO()):  # verl prints its whole configuration
        return ObjectiveTrainer(config)


def _measure(trainer: Any, indices: list[int]) -> dict[int, tuple[Tensor, Tensor]]:
    """Example -> (weights, losses) of its supervised tokens, as a training step would find them."""
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
    with trainer.engine.train_mode():
        if worker.probe is not None:
            worker.probe.measure(batch, 1)
        trainer.engine.forward_backward_batch(batch, record, forward_only=True)
    return found


def _example(trainer: Any, index: int, weights: Tensor, losses: Tensor, spans: list[dict] | None) -> WeightedExample:
    tokenizer, item = trainer.model_config.tokenizer, trainer.train_dataset[index]
    supervised = item["loss_mask"].bool()
    response = trainer.train_dataset.messages[index][-1]["content"]
    encoded = tokenizer(response, return_offsets_mapping=True, add_special_tokens=False)
    starts = [first for first, _ in encoded["offset_mapping"]]
    kinds = [*(_kind(start, spans) for start in starts), "end of sequence"] if spans else None
    return WeightedExample(
        prompt=tokenizer.decode(item["input_ids"][~supervised].tolist()),
        tokens=[tokenizer.decode([token]) for token in item["input_ids"][supervised].tolist()],
        weights=weights.tolist(),
        losses=losses.tolist(),
        kinds=kinds and kinds[: len(weights)],
    )


def _kind(character: int, spans: list[dict]) -> str:
    return next(span["kind"] for span in spans if span["start"] <= character < span["end"])


def view_weights(runs: Sequence[Path], at: str, shown: int, measured: int, output: Path) -> None:
    """Write the page on `runs` to `output`: `shown` examples, and the table of kinds from `measured` of them.

    Raises `RecipeError` for a directory that is no run with SFT, or whose model is not there.
    """
    for directory in runs:
        _check(directory, at)
    _silence_libraries()
    start_process_group()
    output.write_text(weights_page(dict(_arms(runs, at, measured)), shown))


def _silence_libraries() -> None:
    """What verl, torch and transformers say while they start is nothing that a reader of the page can use."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    disable_progress_bar()


def start_process_group() -> None:
    """One rank, on CUDA where there is a device; verl's engine asks for a group even then."""
    environment = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ.update(environment | device_environment(_device()))
    from verl.utils import distributed

    distributed.initialize_global_process_group()


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def needs_history(recipe: Recipe) -> bool:
    """Whether the probe takes up more of the training than a model and data: a checkpoint alone would mislead."""
    probe = recipe.init.probing
    return probe is not None and (probe.gradient == "running" or probe.update == "adam")


def _check(directory: Path, at: str) -> None:
    if not (directory / "recipe.yaml").is_file():
        raise RecipeError(f"{directory} is not a run: give runs/<recipe>/<init>/seed<k>")
    run = Run(read(directory / "recipe.yaml"))
    if not run.recipe.has_sft:
        raise RecipeError(f"{directory} has no SFT whose weights could be shown")
    if needs_history(run.recipe):
        raise RecipeError(f"{directory}: its weights follow from past gradients too, which no checkpoint in it holds")
    model = _model(run, at)
    if not (model / "config.json").is_file():
        raise RecipeError(f"{model} is not there: run the recipe first, from the directory that holds {run.root}")


def _model(run: Run, at: str) -> Path:
    return run.sft_start if at == "start" else run.sft_hf


def _arms(directories: Sequence[Path], at: str, count: int) -> Iterator[tuple[str, list[WeightedExample]]]:
    for directory in directories:
        recipe = read(directory / "recipe.yaml")
        label = f"{Run(recipe).arm}, seed {recipe.seed}, {at} of SFT"
        yield label, weighted_examples(directory, at, count)
