"""The derivative pass where a GPU differs from the CPU."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.sft.launch import torchrun

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured(start: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `derivative_pass.py` measured on 2 ranks."""
    output = tmp_path_factory.mktemp("derivative_pass")
    torchrun(2, str(Path(__file__).parents[1] / "derivative_pass.py"), str(start), str(output), log=output / "log")
    return torch.load(output / "derivative_pass.pt", weights_only=False)


@pytest.mark.parametrize("model", ["full", "lora"])
def test_checkpointed_layers_have_the_same_derivatives_and_stay_checkpointed(measured: dict, model: str):
    expected, _, off = measured["checkpointing"][f"{model}-False"]
    found, (in_gradient, in_derivative), on = measured["checkpointing"][f"{model}-True"]
    assert torch.equal(found, expected)
    assert in_gradient > 0
    assert in_derivative == 0
    assert (off, on) == ([False, False], [True, True])


def test_tangents_of_adapters_are_gathered_once_a_probe(measured: dict):
    large, times_large = measured["gathered"]["large"]
    small, times_small = measured["gathered"]["small"]
    assert (times_large, times_small) == (4, 1)
    assert torch.equal(small, large)


def test_layers_stay_checkpointed_after_a_derivative_pass_that_fails(measured: dict):
    assert measured["interrupted"] == [True, True]


@pytest.mark.parametrize(
    ("case", "name"),
    [("function", "Doubled"), ("operation", "special_zeta"), ("custom", "thrice"), ("written", "halve")],
)
def test_operation_without_forward_mode_rule_is_named(measured: dict, case: str, name: str):
    error = measured["refused"][case]
    assert type(error) is RuntimeError
    assert re.fullmatch(rf"\S*\b{name} has no forward-mode derivative: set init.probe.derivative=central", str(error))


@pytest.mark.parametrize("case", ["unfinished", "training"])
def test_what_else_is_not_implemented_is_not_blamed_on_forward_mode(measured: dict, case: str):
    error = measured["refused"][case]
    assert type(error) is NotImplementedError
    assert str(error) == "not for this shape"
