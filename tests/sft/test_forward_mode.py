"""The derivative pass where a GPU differs from the CPU."""

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
    torchrun(2, str(Path(__file__).with_name("derivative_pass.py")), str(start), str(output), log=output / "log")
    return torch.load(output / "derivative_pass.pt", weights_only=False)


@pytest.mark.parametrize("model", ["full", "lora"])
def test_checkpointed_layers_have_the_same_derivatives_and_stay_checkpointed(measured: dict, model: str):
    expected, _, off = measured["checkpointing"][f"{model}-False"]
    found, (in_gradient, in_derivative), on = measured["checkpointing"][f"{model}-True"]
    assert torch.equal(found, expected)
    assert in_gradient > 0
    assert in_derivative == 0
    assert (off, on) == ([False, False], [True, True])


def test_layers_stay_checkpointed_after_a_derivative_pass_that_fails(measured: dict):
    assert measured["interrupted"] == [True, True]
