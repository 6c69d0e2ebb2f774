"""Log-probabilities under the initial model, and the cache in which they are kept."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.sft import exact
from tests.sft.launch import torchrun


@pytest.fixture(scope="module")
def measured(start: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `reference_caches.py` saw on 2 ranks."""
    output = tmp_path_factory.mktemp("reference")
    torchrun(2, str(Path(__file__).with_name("reference_caches.py")), str(start), str(output), log=output / "log")
    return torch.load(output / "references.pt", weights_only=False)


@pytest.mark.slow
def test_ranks_that_share_no_files_have_the_same_reference_computed_and_cached(start: Path, measured: dict):
    model = exact.load(start)
    examples = exact.examples(start, model, range(48), gradients=False)
    for rows in (*measured["computed"], *measured["cached"]):
        assert all(torch.equal(row, expected) for row, expected in zip(rows, measured["computed"][0], strict=True))
    for row, example in zip(measured["computed"][0], examples, strict=True):
        supervised = -row[len(row) - 1 - len(example.losses) : -1].double().numpy()
        assert supervised == pytest.approx(example.losses, rel=1e-3, abs=1e-4)
    assert [len(files) for files in measured["first"]] == [1, 0]
    assert measured["second"] == measured["first"]


@pytest.mark.slow
def test_reference_is_computed_anew_for_other_arithmetic(measured: dict):
    for files, case in enumerate(("bfloat16", "eager", "packages"), start=2):
        assert len(measured[case][1][0]) == files, case
    rounded, precise = measured["bfloat16"][0][0], measured["computed"][0]
    assert not any(torch.equal(row, expected) for row, expected in zip(rounded, precise, strict=True))
