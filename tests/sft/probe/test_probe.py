"""Utilities on verl's engine against one backward pass per token, and what a probe leaves behind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.sft import exact
from vcore_verl.sft.probe.probe import _signal_to_noise

pytestmark = pytest.mark.slow

# Spearman correlation with the exact utilities that each derivative must reach.
FLOORS = {
    ("jvp", "float32"): 0.999,
    ("jvp", "bfloat16"): 0.99,
    ("central", "float32"): 0.99,
    ("central", "bfloat16"): 0.9,
    ("forward", "float32"): 0.99,
    ("forward", "bfloat16"): 0.9,
}


@pytest.fixture(scope="module")
def token_gradients(start: Path, laboratory: dict) -> dict[str, tuple[Any, list[exact.Example]]]:
    """The float64 model and the gradient of every token, fully trained and with adapters."""
    found = {}
    for kind in ("full", "lora"):
        plain = exact.load(start, laboratory[1]["utilities"][f"{kind}-float32"]["state"], lora=kind == "lora")
        found[kind] = plain, exact.examples(start, plain, exact.BATCH)
    return found


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_utilities_are_the_exact_directional_derivatives(
    laboratory: dict, token_gradients: dict, kind: str, dtype: str, ranks: int
):
    measured = laboratory[ranks]["utilities"][f"{kind}-{dtype}"]
    plain, batch = token_gradients[kind]
    direction = exact.flatten(plain, measured["direction"])
    expected = np.concatenate([example.gradients @ direction for example in batch])
    for derivative in ("jvp", "central", "forward"):
        found = np.concatenate([row.double().cpu().numpy() for row in measured[derivative][0]])
        assert spearmanr(found, expected)[0] >= FLOORS[derivative, dtype], derivative
    if dtype == "float32":
        jvp = np.concatenate([row.double().cpu().numpy() for row in measured["jvp"][0]])
        np.testing.assert_allclose(jvp, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("ranks", [1, 2])
def test_logits_in_blocks_change_nothing(laboratory: dict, ranks: int):
    differences = laboratory[ranks]["blocks"]
    assert len(differences) == 6
    assert max(differences.values()) < 1e-5


@pytest.mark.parametrize("ranks", [1, 2])
def test_finite_differences_log_epsilon_and_rounding_noise(laboratory: dict, ranks: int):
    metrics = laboratory[ranks]["utilities"]["full-float32"]["central"][1]
    assert metrics["probe/epsilon"] > 0
    assert metrics["probe/rounding_signal_to_noise"] > 100
    coarse = laboratory[ranks]["utilities"]["full-bfloat16"]["central"][1]
    assert 1 < coarse["probe/rounding_signal_to_noise"] < metrics["probe/rounding_signal_to_noise"]
    # Rounding noise is larger in bfloat16, so a longer step is chosen.
    assert coarse["probe/epsilon"] > 10 * metrics["probe/epsilon"]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("derivative", ["jvp", "central", "forward"])
def test_probe_leaves_no_trace(laboratory: dict, derivative: str, ranks: int):
    assert laboratory[ranks]["traces"][derivative]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("derivative", ["jvp", "central", "forward"])
def test_probe_that_fails_in_the_middle_leaves_no_trace(laboratory: dict, derivative: str, ranks: int):
    assert laboratory[ranks]["traces"][f"{derivative}-failed"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_probe_sees_the_dropout_masks_of_the_training_pass(laboratory: dict, ranks: int):
    assert laboratory[ranks]["same_masks"] == {"derivative": True, "difference": True, "again": False}


def test_probe_batches_do_not_depend_on_ranks_and_differ_between_steps(laboratory: dict):
    draws = laboratory[1]["draws"]
    assert draws == laboratory[2]["draws"]
    assert draws[0] != draws[1] != draws[2]
    assert all(len(batch) == 8 for batch in draws)


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_probe_batch_is_cut_and_the_training_batch_is_not(laboratory: dict, ranks: int):
    found = laboratory[ranks]["cut_draws"]
    assert found["cut examples"] == found["whole examples"]
    assert found["cut probe"] == 24 < found["whole probe"]
    assert found["cut training"] == found["whole training"] > 24


@pytest.mark.parametrize("ranks", [1, 2])
def test_running_average_starts_after_the_first_step(laboratory: dict, ranks: int):
    first, second, third = laboratory[ranks]["running"]
    assert first["weights/kl"] == pytest.approx(0, abs=1e-12)
    assert second["weights/kl"] == pytest.approx(0.1, abs=1e-4)
    assert "utility/signal_to_noise" not in second  # no gradient has followed the average yet
    cosine = third["probe/population_cosine"]
    assert 0 < cosine < 1
    assert third["utility/signal_to_noise"] == pytest.approx(cosine / (1 - cosine**2) ** 0.5)


def test_rounding_and_sampling_noise_add_up():
    # cosine 0.6: 0.75 of noise 1; with rounding at 1 the noises' squares add: 1 / 0.75**2 + 1 = 25 / 9.
    sampled = {"probe/population_cosine": 0.6}
    assert _signal_to_noise(sampled)["utility/signal_to_noise"] == pytest.approx(0.75)
    rounded = sampled | {"probe/rounding_signal_to_noise": 1.0}
    assert _signal_to_noise(rounded)["utility/signal_to_noise"] == pytest.approx(0.6)
    assert _signal_to_noise({"probe/population_cosine": 0.0})["utility/signal_to_noise"] == 0.0
    assert _signal_to_noise({}) == {}
