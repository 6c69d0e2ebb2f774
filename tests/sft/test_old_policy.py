"""The policy of some steps ago, and a run that is resumed between two of them."""

import json
import shutil
from pathlib import Path

import pytest

from tests.sft.launch import settings, torchrun

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_old_policy_is_that_before_every_second_step(laboratory: dict, ranks: int):
    ratios = [step["train/loss"] / step["train/plain_loss"] for step in laboratory[ranks]["old_policy"]]
    assert ratios[0] == pytest.approx(1, rel=1e-5)
    assert ratios[1] != pytest.approx(1, rel=1e-4)
    assert ratios[2] == pytest.approx(1, rel=1e-5)


def test_a_resumed_run_has_the_same_old_policy(start: Path, tmp_path: Path):
    changes = {"+init": {"name": "psft", "refresh": 3}, "trainer": {"save_freq": 2, "total_training_steps": 4}}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    torchrun(1, "-m", "vcore_verl.sft.main", *settings(start, whole, 1, **changes), log=whole / "log")
    shutil.copytree(whole, parts)
    (parts / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("2")
    torchrun(1, "-m", "vcore_verl.sft.main", *settings(start, parts, 1, **changes), log=parts / "log2")
    losses = [
        [json.loads(line)["train/loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (whole, parts)
    ]
    assert losses[0] == losses[1]
    assert "Found latest checkpoint" in (parts / "log2").read_text()
