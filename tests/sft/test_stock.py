"""The SFT stage is verl's own, but for the weights."""

import json
from pathlib import Path

import pytest

from tests.sft.launch import SFT, settings, torchrun

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("ranks", [1, 2])
def test_sft_equals_stock_verl_step_for_step(laboratory: dict, ranks: int):
    logged = laboratory[ranks]["stock"]["logged"]
    assert len(logged["stock"]) == 6
    assert logged["ours"] == logged["stock"]
    assert laboratory[ranks]["stock"]["parameters_equal"]


def test_two_ranks_train_like_one(laboratory: dict):
    for one, two in zip(*(laboratory[ranks]["stock"]["logged"]["ours"] for ranks in (1, 2)), strict=True):
        assert two == pytest.approx(one, rel=1e-4)


def test_seed_changes_the_order_of_the_data(start: Path, tmp_path: Path, laboratory: dict):
    changes = {"trainer": {"seed": 1, "total_training_steps": 1}}
    torchrun(1, *SFT, *settings(start, tmp_path, 1, **changes), log=tmp_path / "log")
    first_of_seed_0 = laboratory[1]["stock"]["logged"]["ours"][0][0]
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["train/loss"] != first_of_seed_0
