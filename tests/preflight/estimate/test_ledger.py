"""The plan's peak of each training phase against a ledger of what verl's engine and our passes allocate, at full width
and token count.

Three layers are enough: what a further one adds is linear.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.preflight.estimate.memory import phases
from vcore_verl.preflight.estimate.settings import settings_of

pytestmark = pytest.mark.slow

PHASES = {"sft": "SFT, training pass", "probe": "SFT, probe", "rl": "RL, update"}
RECIPES = [(name, work, [], None) for name in ("qwen3_4b", "qwen3_1_7b_one") for work in PHASES]
WHOLE_LOGITS = "rl.verl.actor_rollout_ref.model.use_fused_kernels=false"
VARIANTS = [
    ("qwen3_4b", "rl", [WHOLE_LOGITS], None),
    ("qwen3_1_7b_one", "rl", [WHOLE_LOGITS, "rl.entropy_coef=0"], None),
    ("qwen3_1_7b_one", "rl", ["rl.lora={rank:32,alpha:64}"], None),
    ("qwen3_0_6b", "rl", [], None),
    ("qwen3_8b", "sft", [], None),  # an output matrix of its own
    ("qwen3_4b", "probe", ["model.lora.rank=0"], None),
    ("qwen3_4b", "probe", ["init.probe.derivative=central"], None),
    ("qwen3_4b", "probe", ["init.probe.derivative=forward"], None),
    # Few logits: the layers are what is largest.
    ("qwen3_4b", "sft", [], 1024),
    ("qwen3_4b", "probe", [], 1024),
    ("qwen3_4b", "probe", ["init.probe.derivative=central"], 1024),
]
LONG = ("qwen3_4b", "probe", ["sft.max_tokens_per_rank=32768"], 1024)


def key(case: tuple) -> str:
    return json.dumps(case)


@pytest.fixture(scope="module")
def counted() -> dict[str, int]:
    """Bytes of each case, counted in a process of its own."""
    cases = [*RECIPES, *VARIANTS, LONG]
    asked = [dict(zip(("recipe", "work", "overrides", "vocab"), case, strict=True)) for case in cases]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("count.py")), json.dumps(asked)],
        env=os.environ | {"VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(zip(map(key, cases), json.loads(ended.stdout.splitlines()[-1]), strict=True))


def planned(name: str, work: str, overrides: list[str], vocab: int | None) -> float:
    """Bytes without the assumed context."""
    s = settings_of(load(name, overrides))
    s = dataclasses.replace(s, model=dataclasses.replace(s.model, layers=3, vocab=vocab or s.model.vocab))
    (phase,) = (phase for phase in phases(s, 80 * 2**30) if phase.name.startswith(PHASES[work]))
    return phase.total - phase.parts["context"]


@pytest.mark.parametrize("case", RECIPES, ids=key)
def test_the_plan_is_what_the_ledger_counts(counted, case):
    assert 0.98 <= planned(*case) / counted[key(case)] <= 1.05


@pytest.mark.parametrize("case", VARIANTS, ids=key)
def test_other_ways_of_training_are_planned_as_well(counted, case):
    assert 0.97 <= planned(*case) / counted[key(case)] <= 1.05


def test_a_probes_memory_is_linear_in_the_tokens_of_a_row(counted):
    name, work, _, vocab = LONG
    short, long = counted[key((name, work, [], vocab))], counted[key(LONG)]
    assert short < long < 2 * short
