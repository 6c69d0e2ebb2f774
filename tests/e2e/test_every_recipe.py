"""Every recipe with every SFT objective and RL algorithm, through verl's own configuration, engine and data sets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import shipped
from vcore_verl.config.composition import ROOT
from vcore_verl.cpu import cpu_environment

pytestmark = pytest.mark.e2e

INITS, ALGORITHMS = ({*names} - {"none"} for names in (shipped.INITS, shipped.ALGORITHMS))


@pytest.mark.parametrize("name", shipped.RECIPES)
def test_every_training_reaches_the_point_where_weights_would_load(name: str, tmp_path: Path):
    changes = ["scale=smoke", f"output_dir={tmp_path}"]
    subprocess.run([sys.executable, "-m", "vcore_verl", "data", name, *changes], cwd=ROOT, check=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    arms = [",".join(shipped.INITS), ",".join(sorted(ALGORITHMS))]
    script = [*torchrun, str(Path(__file__).parent / "until_weights.py"), name, *arms, *changes]
    environment = os.environ | cpu_environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(script, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
    reached = {tuple(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("reached ")}
    sft = {(init, "none") for init in INITS}
    rl = {(init, algorithm) for init in INITS | {"none"} for algorithm in ALGORITHMS}
    assert reached == sft | rl
