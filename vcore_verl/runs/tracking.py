"""Experiment trackers (TensorBoard, Weights & Biases, ...) in addition to `metrics.jsonl`. Imports no torch, no verl.

`tracking` can name any tracker that verl's `Tracking` supports (verl/utils/tracking.py). All of a recipe goes to one
project: SFT and RL curves, and the results of every evaluation.
"""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.config.versions import package_version
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import MetricsFile

# verl's name of a tracker -> its PyPI package. Without verl's "console" and "file": logs and metrics.jsonl are always
# written.
PACKAGES = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "swanlab": "swanlab",
    "trackio": "trackio",
    "clearml": "clearml",
    "rl_insight": "rl-insight",
    "vemlp_wandb": "volcengine-ml-platform",
}


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` for a tracker that verl does not have, or whose package is not installed."""
    for name in recipe.tracking:
        if name not in PACKAGES:
            raise RecipeError(f"tracking: {name} is not known; choose among {', '.join(PACKAGES)}")
        if package_version(PACKAGES[name]) is None:
            raise RecipeError(f"tracking: {name} is not installed; pip install {PACKAGES[name]}")


def run_name(recipe: Recipe, stage: str) -> str:
    """Name of a stage ("sft", "rl", "base", "pre_rl", "post_rl") in the trackers; the project is the recipe."""
    run = Run(recipe)
    before, after = f"{run.arm}-seed{recipe.seed}", f"{run.arm}-{run.rl_arm}-seed{recipe.seed}"
    return {
        "sft": f"{before}-sft",
        "rl": f"{after}-rl",
        "base": "base-evaluation",
        "pre_rl": f"{before}-evaluation",
        "post_rl": f"{after}-evaluation",
    }[stage]


def environment(recipe: Recipe, run: Run, folder: Path) -> dict[str, str]:
    """Environment of a process that opens trackers: their files go to the stage's `folder`, project-wide databases to
    the recipe's. Variables that the user has set are kept, except TensorBoard's, which names runs by their folders.
    """
    root, place = run.root.resolve(), folder.resolve()
    places = {
        "tensorboard": ("TENSORBOARD_DIR", str(place / "tensorboard")),
        "wandb": ("WANDB_DIR", str(place)),
        "swanlab": ("SWANLAB_LOG_DIR", str(place / "swanlog")),
        "mlflow": ("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db"),
        "trackio": ("TRACKIO_DIR", str(root / "trackio")),
        "rl_insight": ("VERL_RL_INSIGHT_ENABLE", "1"),
    }
    chosen = dict(places[name] for name in recipe.tracking if name in places)
    return {key: value for key, value in chosen.items() if key == "TENSORBOARD_DIR" or key not in os.environ}


def add_metrics_file(backends: dict[str, Any], metrics: MetricsFile) -> None:
    """Add `metrics.jsonl` to the backends of a verl `Tracking`, and flush TensorBoard at every step: it buffers two
    minutes, which a killed run would lose.
    """
    backends["metrics.jsonl"] = metrics
    if "tensorboard" in backends:
        flush = backends["tensorboard"].writer.flush
        backends["tensorboard, flushed"] = SimpleNamespace(log=lambda data, step: flush())
