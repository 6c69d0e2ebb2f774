"""What a process of verl registers, given the algorithm in its environment."""

import os
import subprocess
import sys

import pytest

from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.rl.command import WORKER, rl_command
from vcore_verl.runs.layout import Run

REGISTERED = """
import importlib, sys
importlib.import_module(sys.argv[1])
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY
from vcore_verl.rl import hooks
print(sorted(name for name in (*ADV_ESTIMATOR_REGISTRY, *POLICY_LOSS_REGISTRY) if name.startswith("vcore_")))
print(hooks.chosen())
"""


@pytest.mark.parametrize(
    ("rl", "override", "lines"),
    [
        ("nft", "rl.epsilon=0.5", ["['vcore_nft']", "Nft(epsilon=0.5)"]),
        ("reinforce_rej", "rl.kl_coef=0", ["['vcore_reinforce_rej']", "ReinforceRej()"]),
    ],
)
def test_a_worker_knows_the_algorithm_that_its_environment_names(rl, override, lines):
    recipe = load("tiny", [f"rl={rl}", override, "hardware.device=cpu"])
    command = rl_command(recipe, Run(recipe))
    assert f"actor_rollout_ref.model.external_lib='{WORKER}'" in command.argv
    environment = os.environ | command.env | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", REGISTERED, WORKER], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == lines
