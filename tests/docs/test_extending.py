r"""docs/extending.md as it stands: its files are written, its commands run.

A fenced block with a path beside its language, or in a comment on its first line, is a file; a `bash` block is a list
of commands. Scripts only add an installation to their verb, so the verb is run, with `--dry-run`. Blocks without a
language are not run.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
import torch

from reward import own
from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.objectives import Tokens, build
from vcore_verl.rl.algorithms import build as build_algorithm

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n((?:# (\S+/\S+\.\w+)\n)?.*?)^```$", re.DOTALL | re.MULTILINE)
VERBS = {"scripts/sft_then_grpo.sh": "run", "scripts/compare.sh": "sweep"}
BLOCKS = BLOCK.findall((ROOT / "docs" / "extending.md").read_text())
COMMANDS = [line for language, _, text, _ in BLOCKS if language == "bash" for line in text.splitlines()]
# The two example rows of each set through the real data stage, which wants whole batches.
TWO_ROWS = """scale=smoke data.num_sft=2 data.num_rl=2 sft.batch_size=2 rl.prompts_per_step=2 rl.mini_batch_prompts=2
    init.probe.batch_size=2 evaluation.datasets=[aime] evaluation.max_prompts=2"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working directory with the files of the page."""
    place = tmp_path_factory.mktemp("extending")
    for _, beside, text, inside in BLOCKS:
        if name := beside or inside:
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return place


def run(folder: Path, command: str) -> subprocess.CompletedProcess:
    words = shlex.split(command.replace("$PWD", str(folder)))
    if words[0] == "bash":
        words = ["python", "-m", "vcore_verl", VERBS[words[1]], *words[2:], "--dry-run"]
    assert words[0] == "python", command
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_and_command_is_found(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()}
    assert names >= {"mine/power.py", "mine/power.yaml", "mine/my_recipe.yaml", "mine/sft.jsonl", "mine/rl.jsonl"}
    assert names >= {"mine/my_reward.py", "mine/my_benchmark.py", "mine/benchmark.jsonl", "mine/sign.yaml"}
    assert len(COMMANDS) == 9


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(folder, command):
    done = run(folder, command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_objective_weighs_by_a_power_of_the_probability(folder, monkeypatch):
    monkeypatch.chdir(folder)
    init = load("tiny", ["init=./mine/power.yaml", "init.exponent=0.25"]).init
    objective = build(init.name, init.settings, Path(init.file))
    loss_T = torch.tensor([0.25, 1.0, 4.0]).log().neg()
    tokens = Tokens(loss_T, torch.tensor([0, 1, 3]), torch.tensor([0, 1]), torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(objective.weigh(tokens).weights_T, torch.tensor([0.25, 1.0, 4.0]) ** 0.25)


def test_a_setting_that_the_objective_does_not_have_is_refused(folder):
    done = run(folder, "bash scripts/sft_then_grpo.sh tiny init=./mine/power.yaml init.kl_budget=0.5")
    assert done.returncode == 2
    assert "exponent" in done.stderr


def test_the_example_rows_become_training_data(folder):
    done = run(folder, f"python -m vcore_verl data ./mine/my_recipe.yaml {TWO_ROWS}")
    assert done.returncode == 0, done.stdout + done.stderr
    data = folder / "runs" / "my_recipe-smoke" / "data"
    assert [pq.read_metadata(data / f"{name}.parquet").num_rows for name in ("sft", "rl")] == [2, 2]


def test_the_reward_reads_the_answer_line(folder):
    score = imported(folder / "mine" / "my_reward.py").compute_score
    assert score("mine", "so 13 * 8 is 104\nAnswer: 104", "104")["acc"] == 1.0
    assert score("mine", "Answer: 105", "104")["status"] == "wrong"
    assert score("mine", r"\boxed{104}", "104")["status"] == "no_answer"
    assert own.compute_score("mine", "Answer: 104", "104", file=str(folder / "mine" / "my_reward.py"))["score"] == 1.0


def test_the_benchmark_is_written_in_the_form_that_evaluation_reads(folder):
    done = run(folder, "python mine/my_benchmark.py")
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(folder / "mine" / "benchmark.parquet").to_pylist()
    assert [row["reward_model"]["ground_truth"] for row in rows] == ["102", "13"]
    assert all(r"\boxed{}" in row["prompt"][0]["content"] for row in rows)


def test_the_algorithm_gives_signs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    rl = load("tiny", ["rl=./mine/sign.yaml", "rl.step=0.25"]).rl
    sign = build_algorithm(rl.method.name, rl.settings, Path(rl.file))
    assert sign.advantages(torch.tensor([1.0, 0.0, 1.0, 0.0]), "baaa").tolist() == [0.0, -0.25, 0.25, -0.25]


def test_other_settings_keep_their_algorithm(folder, monkeypatch):
    monkeypatch.chdir(folder)
    rl = load("tiny", ["rl=./mine/raft_higher.yaml", "rl.kl_coef=0"]).rl
    assert (rl.name, rl.method.name, rl.clip_high, rl.kl_coef) == ("raft_higher", "raft_pp", 0.4, 0.0)
