import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.tensorboard import scalars
from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.pipeline.tracking import evaluation_metrics, tracking_command
from vcore_verl.runs.layout import Run

FIGURE = {"mean": 0.5, "ci95": [0.4, 0.6]}
COUNTS = {"mean_tokens": 12.0, "truncated_frac": 0.25}
SUMMARY = {"num_samples": 2, "avg_at_n": FIGURE, "pass_at_k": {"1": FIGURE, "2": {"mean": 0.75}}, **COUNTS}
RESULTS = {"stage": "pre_rl", "datasets": {"in_domain": SUMMARY | {"greedy": FIGURE | COUNTS}}}


def test_figures_have_flat_names():
    assert evaluation_metrics(RESULTS) == {
        "evaluation/pre_rl/in_domain/avg_at_2": 0.5,
        "evaluation/pre_rl/in_domain/pass_at_1": 0.5,
        "evaluation/pre_rl/in_domain/pass_at_2": 0.75,
        "evaluation/pre_rl/in_domain/greedy": 0.5,
        "evaluation/pre_rl/in_domain/mean_tokens": 12.0,
        "evaluation/pre_rl/in_domain/truncated_frac": 0.25,
    }
    assert "evaluation/pre_rl/in_domain/greedy" not in evaluation_metrics(
        {"stage": "pre_rl", "datasets": {"in_domain": SUMMARY}}
    )


@pytest.mark.slow
def test_results_of_an_evaluation_reach_tensorboard_and_wandb_in_offline_mode(tmp_path: Path):
    recipe = load("tiny", [f"output_dir={tmp_path / 'runs'}", "tracking=[tensorboard,wandb]", "hardware.device=cpu"])
    run = Run(recipe)
    run.eval_pre.mkdir(parents=True)
    (run.eval_pre / "results.json").write_text(json.dumps(RESULTS))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = tracking_command(recipe, run, run.eval_pre)
    for path, text in command.files.items():
        path.write_text(text)
    environment = {**os.environ, **command.env, "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command.argv, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(elsewhere.iterdir()) == []
    found = scalars(run.eval_pre / "tensorboard", "evaluation/pre_rl/in_domain/avg_at_2")
    assert found == {recipe.sft.steps: 0.5}
    (written,) = run.eval_pre.glob("wandb/offline-run-*/run-*.wandb")
    content = written.read_bytes()
    for text in (b"tiny", b"vcore-seed0-evaluation", b"evaluation/pre_rl/in_domain/greedy"):
        assert text in content
