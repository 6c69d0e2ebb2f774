import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.runtime import hardware

ROOT = Path(__file__).parent.parent
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


def vcore(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "vcore_verl", *words],
        cwd=cwd,
        env={**os.environ, **NO_GPU, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "tinny"], "error: unknown recipe 'tinny'; known recipes:"),
        (["run"], "error: which recipe? known recipes:"),
        (["run", "tiny", "sft.stepz=3"], "did you mean sft.steps?"),
        (["run", "tiny", "--fresh", "sft.steps=x"], "sft.steps is of the wrong type"),
        (["run", "qwen3_4b"], "error: recipe qwen3_4b needs 8 NVIDIA GPUs; this machine has none."),
        (["report", "tiny"], "error: runs/tiny does not exist: run the recipe first"),
        (["compare", "elsewhere"], "error: elsewhere is not a folder"),
        (["compare", "tiny"], "error: tiny is not a folder; to train arms of the recipe: sweep tiny"),
        (["sweep"], "error: which recipe? known recipes:"),
        (["eval", "elsewhere", "--export", "csv"], "--export csv is not known; choose one of lm_eval"),
        (["sweep", "tiny", "inits=vcore,dtf"], "error: init=dtf is not known; choose one of"),
        (["sweep", "qwen3_4b"], "error: recipe qwen3_4b needs 8 NVIDIA GPUs; this machine has none."),
        (["eval", "elsewhere"], "say with --recipe which recipe's decoding to use"),
        (["readiness", "elsewhere"], "elsewhere is not a checkpoint in Hugging Face format, nor a run with one"),
        (["readiness", "elsewhere", "--samples", "1"], "--prompts and --samples must be at least 2"),
        (["sweep", "tiny", "tune=sft.steps:5"], "has one value, which leaves nothing to choose"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(words, message, tmp_path):
    ended = vcore(*words, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert message in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_version_of_verl_is_refused_before_anything_starts(tmp_path):
    record = tmp_path / "packages" / "verl-0.10.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: verl\nVersion: 0.10.0\n")
    path = os.pathsep.join([str(record.parent), str(ROOT)])
    reason = "vcore_verl was written for verl 0.9.1 and found 0.10.0: install verl==0.9.1, or review"
    for words in (["run", "tiny"], ["sweep", "tiny", "inits=sft"]):
        ended = vcore(*words, cwd=tmp_path, PYTHONPATH=path)
        assert ended.returncode == 2
        assert ended.stderr.startswith(f"error: {reason}") and ended.stderr.count("\n") == 1
    assert f"would not start: {reason}" in vcore("run", "tiny", "--dry-run", cwd=tmp_path, PYTHONPATH=path).stdout
    assert os.listdir(tmp_path) == ["packages"]


def test_a_dry_run_prints_plan_stages_and_recipe_and_starts_nothing(tmp_path):
    ended = vcore("run", "tiny", "--dry-run", "init=dft", cwd=tmp_path)
    assert ended.returncode == 0
    places = [ended.stdout.index(text) for text in ("plan of tiny", "evaluate_post_rl", "  path: builtin:arithmetic\n")]
    assert places == sorted(places)
    assert "  device: cpu\n" in ended.stdout
    assert "evaluate_post_rl" in ended.stdout
    assert "supervised fine-tuning with dft" in ended.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [["run", "--dry-run"], ["show"], ["plan"], ["sweep", "--dry-run", "inits=sft"]])
def test_a_recipe_can_be_a_file_anywhere(verb, tmp_path):
    recipe = (ROOT / "recipes" / "tiny.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(recipe)
    ended = vcore(verb[0], "./mine.yaml", *verb[1:], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_dry_run_of_a_large_recipe_says_what_is_missing(tmp_path):
    ended = vcore("run", "qwen3_4b", "--dry-run", cwd=tmp_path)
    assert ended.returncode == 0
    assert "would not start: recipe qwen3_4b needs 8 NVIDIA GPUs" in ended.stdout


def test_a_dry_run_of_a_sweep_prints_its_arms_and_starts_nothing(tmp_path):
    ended = vcore("sweep", "tiny", "--dry-run", "inits=dft,none", cwd=tmp_path)
    assert ended.returncode == 0
    assert "dft-grpo seed 0   sft export_sft" in ended.stdout
    assert "none-grpo seed 0  rl export_rl" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_show_prints_the_command_of_every_stage(tmp_path):
    ended = vcore("show", "tiny", cwd=tmp_path)
    assert ended.returncode == 0
    for module in ("vcore_verl.sft.main", "vcore_verl.rl.main", "vcore_verl.evaluation", "vcore_verl.pipeline.export"):
        assert module in ended.stdout


def test_help_shows_every_verb_with_its_options(tmp_path):
    shown = vcore("--help", cwd=tmp_path).stdout
    verbs = re.findall(r"^  ([a-z]+(?: weights)?) ", shown, re.MULTILINE)
    assert " ".join(verbs) == "run sweep data show plan doctor report compare view view weights migrate readiness eval"
    for option in ("--dry-run", "--all", "--output FILE", "--against INIT", "--prompt ID", "--at {start,end}"):
        assert f"[{option}]" in shown


@pytest.mark.parametrize("verb", ["run", "sweep", "view", "view weights", "eval"])
def test_help_of_a_verb_explains_its_options(verb, tmp_path):
    shown = vcore(*verb.split(), "--help", cwd=tmp_path).stdout
    assert shown.startswith(f"usage: python -m vcore_verl {verb} ")
    option = {"view": "--prompt ID", "view weights": "--measured N", "eval": "--export LAYOUT"}.get(verb, "--dry-run")
    assert re.search(rf"^  {option} +\w", shown, re.MULTILINE)


def test_options_may_stand_between_overrides(tmp_path):
    ended = vcore("show", "tiny", "init=dft", "--all", "seed=1", cwd=tmp_path)
    assert "seed: 1\n" in ended.stdout and "  name: dft\n" in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_how_to_go_on_and_leaves_no_process(number, tmp_path):
    """In the real base stage, within seconds of its start."""
    launcher = subprocess.Popen(
        [sys.executable, "-m", "vcore_verl", "run", "tiny"],
        cwd=tmp_path,
        env={**os.environ, **NO_GPU, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "runs/tiny/vcore/seed0/grpo/logs/latest/base.log"
    deadline = time.monotonic() + 30
    while not log.exists():
        assert time.monotonic() < deadline and launcher.poll() is None
        time.sleep(0.1)
    time.sleep(1)
    children = psutil.Process(launcher.pid).children(recursive=True)
    assert children
    launcher.send_signal(number)
    _, complaint = launcher.communicate(timeout=30)
    assert launcher.returncode == 130
    assert complaint == "error: stopped; run the same command again to continue\n"
    assert psutil.wait_procs(children, timeout=0)[1] == []


def test_the_device_is_decided_once(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert hardware.resolve(load("tiny", [])).hardware.device == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert hardware.resolve(load("tiny", [])).hardware.device == "cuda"
    assert hardware.resolve(load("tiny", ["hardware.device=cpu"])).hardware.device == "cpu"


def test_fewer_gpus_than_asked_for_name_the_key_that_helps(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(RecipeError, match=r"needs 8 NVIDIA GPUs; this machine has 2\. Add hardware\.gpus=2"):
        hardware.check(load("qwen3_4b", []))
    hardware.check(load("qwen3_4b", ["hardware.gpus=2"]))


def test_several_nodes_start_in_a_slurm_job_of_so_many(monkeypatch):
    recipe = load("tiny", ["hardware.device=cpu", "nodes=2"])
    monkeypatch.delenv("SLURM_JOB_NUM_NODES", raising=False)
    with pytest.raises(RecipeError, match=r"this is not a Slurm job; start it with sbatch --nodes=2 scripts/slurm/"):
        hardware.check(recipe)
    monkeypatch.setenv("RAY_ADDRESS", "node1:6379")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "3")
    with pytest.raises(RecipeError, match="this Slurm job has 3"):
        hardware.check(recipe)
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    hardware.check(recipe)
