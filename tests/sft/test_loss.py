"""Loss and gradient on verl's engine against plain float64 mathematics, and against themselves on other layouts."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch

from tests.sft import exact
from vcore_verl.builtin.tokenizer import THINK
from vcore_verl.objectives.placebo import _permutation
from vcore_verl.objectives.random import keep_mask
from vcore_verl.sft.dataset import SupervisedDataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference(start: Path, laboratory: dict) -> dict[str, tuple[float, np.ndarray]]:
    """Loss and gradient of the batch for each objective."""
    model = exact.load(start)
    batch = exact.examples(start, model, exact.BATCH)
    drawn = exact.examples(start, model, laboratory[1]["draws"][0])
    direction = exact.probe_gradient(drawn)
    found = {name: exact.step(batch, weights) for name, weights in _weights(start, batch, direction).items()}
    moved = exact.load(start)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.mul_(1.02)
    certainty = [entropies / math.log(20) for entropies in exact.top_entropies(start, model, exact.BATCH)]
    found["eaft"] = exact.step(batch, certainty)
    away = exact.examples(start, moved, exact.BATCH)
    ratios = [np.exp(-after.losses + before.losses) for after, before in zip(away, batch, strict=True)]
    found["iw_sft_token"] = exact.step(away, [np.clip(ratio, 0.2, 1.8) for ratio in ratios])
    return found


def _weights(start: Path, batch: list[exact.Example], direction: np.ndarray) -> dict[str, list[np.ndarray]]:
    utilities = [e.gradients @ direction for e in batch]
    signs = [e.gradients @ (direction / (np.abs(direction) + 1e-8)) for e in batch]
    weights = {
        "sft": [np.ones_like(e.losses) for e in batch],
        "iw_sft": [np.ones_like(e.losses) for e in batch],
        "vcore_uniform": [np.ones_like(e.losses) for e in batch],
        "dft": [np.exp(-e.losses) for e in batch],
        "talr": [np.maximum(np.exp(-e.losses / np.median([e.losses.mean() for e in batch])), 0.01) for e in batch],
        "dft_shuffled": [
            np.exp(-e.losses)[_permutation(len(e.losses), seed=0, step=0, example=index).numpy()]
            for index, e in zip(exact.BATCH, batch, strict=True)
        ],
        "random": _random(start),
        "oracle": _oracle(start),
    }
    for name, utility, raw in (
        ("vcore", utilities, [exact.gibbs_at(s, 0.1) for s in utilities]),
        ("vcore_adam", signs, [exact.gibbs_at(s, 0.1) for s in signs]),
        ("vcore_temperature", utilities, [exact.gibbs(s, 0.05) for s in utilities]),
    ):
        ratios = [e.losses.sum() / (w @ e.losses) for e, w in zip(batch, raw, strict=True)]
        weights[name] = [min(1.0, r) * w for r, w in zip(ratios, raw, strict=True)]
        if name == "vcore":
            spread = [math.sqrt(np.var(s) / np.var(w * s)) for s, w in zip(utility, raw, strict=True)]
            weights["vcore_variance"] = [min(1.0, a) * w for a, w in zip(spread, raw, strict=True)]
    return weights


def _random(start: Path) -> list[np.ndarray]:
    from transformers import AutoTokenizer

    data = SupervisedDataset(str(start / "sft.parquet"), AutoTokenizer.from_pretrained(start / "base"), {})
    items = [(index, data[index]) for index in exact.BATCH]
    answers = [(index, item["answer_mask"][item["loss_mask"].bool()].bool()) for index, item in items]
    return [keep_mask(answer, 0.2, 0, index).double().numpy() for index, answer in answers]


def _oracle(start: Path) -> list[np.ndarray]:
    """By characters, which are this model's tokens but for two markers."""
    rows = pyarrow.parquet.read_table(start / "sft.parquet").to_pylist()
    found = []
    for index in exact.BATCH:
        text = rows[index]["messages"][-1]["content"]
        kept = np.ones(len(text) + 1)  # the end of the sequence too
        for span in rows[index]["spans"]:
            kept[span["start"] : span["end"]] = span["kind"] not in ("filler", "mistake", "false_start")
        inside = [i for word in THINK for i in range(text.index(word) + 1, text.index(word) + len(word))]
        found.append(np.delete(kept, inside))
    return found


OBJECTIVES = [
    "sft",
    "dft",
    "dft_shuffled",
    "eaft",
    "talr",
    "oracle",
    "random",
    "iw_sft",
    "iw_sft_token",
    "vcore",
    "vcore_temperature",
    "vcore_variance",
    "vcore_uniform",
    "vcore_adam",
]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_equals_plain_float64(start: Path, laboratory: dict, reference: dict, name: str, ranks: int):
    loss, gradient = laboratory[ranks]["objectives"][name]
    expected_loss, expected_gradient = reference[name]
    # vcore_adam divides by |g|, vcore_temperature by 0.05: both enlarge float32's rounding of the utilities.
    tolerance = {"vcore_adam": 2e-3, "vcore_temperature": 2e-4}.get(name, 2e-5)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    difference = exact.flatten(exact.load(start), gradient) - expected_gradient
    assert np.linalg.norm(difference) <= tolerance * np.linalg.norm(expected_gradient)


@pytest.mark.parametrize("ranks", [1, 2])
def test_does_not_depend_on_micro_batches_or_ranks(laboratory: dict, ranks: int):
    loss, gradient = laboratory[1]["splits"]["8"]
    layouts: dict[str, Any] = laboratory[ranks]["splits"]
    assert len(layouts) == 5
    for other_loss, other_gradient in layouts.values():
        assert other_loss == pytest.approx(loss, rel=1e-6)
        for name, tensor in gradient.items():
            torch.testing.assert_close(other_gradient[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ranks", [1, 2])
def test_vcore_at_infinite_temperature_is_sft_to_the_last_bit(laboratory: dict, ranks: int):
    loss, gradient = laboratory[ranks]["objectives"]["sft"]
    other_loss, other_gradient = laboratory[ranks]["objectives"]["vcore_uniform"]
    assert other_loss == loss
    assert all(torch.equal(other_gradient[name], tensor) for name, tensor in gradient.items())


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_loss_that_is_not_finite_stops_with_step_and_example(laboratory: dict, ranks: int):
    assert laboratory[ranks]["not_finite"].startswith("step 5: the loss of training example 0 is nan")
