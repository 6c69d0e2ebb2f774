"""A trained tiny model with data, and one laboratory run per number of ranks on which many tests make assertions."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.sft.launch import torchrun
from tests.sft.tiny import make_start


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with `base` (a 0.1 M-parameter Qwen3 that has learned the format of the answers) and `sft.parquet`."""
    return make_start(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="session")
def laboratory(start: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What `laboratory.py` measured on 1 and on 2 ranks."""
    results = {}
    for ranks in (1, 2):
        output = tmp_path_factory.mktemp(f"ranks{ranks}")
        torchrun(ranks, str(Path(__file__).with_name("laboratory.py")), str(start), str(output), log=output / "log")
        results[ranks] = torch.load(output / "results.pt", weights_only=False)
    return results
