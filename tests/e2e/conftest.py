"""What the tests on the real stack share: one base model of `tiny`, with its data."""

import subprocess
import sys
from pathlib import Path

import pytest

from vcore_verl.config.composition import ROOT

BASE = ["base.steps=150", "data.num_sft=200", "data.num_rl=64", "data.num_test=24"]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory) -> Path:
    """The folder of `tiny`'s runs with base model and data alone, to be copied into an output directory."""
    output = tmp_path_factory.mktemp("base")
    command = [sys.executable, "-m", "vcore_verl", "data", "tiny", f"output_dir={output}", *BASE]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return output / "tiny"
