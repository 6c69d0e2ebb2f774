"""Logs the results of a finished evaluation to the recipe's trackers, in a separate process: verl imports torch.

python -m vcore_verl.pipeline.tracking RECIPE.yaml FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

from vcore_verl.config.recipe import Recipe, read, settings, to_yaml
from vcore_verl.cpu import device_environment
from vcore_verl.evaluation.results import RESULTS
from vcore_verl.runs.layout import Run
from vcore_verl.runs.tracking import environment, run_name
from vcore_verl.runtime.process import Command


def tracking_command(recipe: Recipe, run: Run, folder: Path) -> Command:
    """The command that logs the evaluation in `folder`."""
    asked = folder / "tracking.yaml"  # the recipe.yaml of a run is written when its own stages begin
    return Command(
        argv=[sys.executable, "-m", "vcore_verl.pipeline.tracking", str(asked), str(folder)],
        files={asked: to_yaml(recipe)},
        env=device_environment(recipe.hardware.device) | environment(recipe, run, folder),
        progress=folder / "tracking.jsonl",  # never written: takes seconds at most
        total=1,
        unit="evaluation",
    )


def evaluation_metrics(results: dict[str, Any]) -> dict[str, float]:
    """The metrics in results.json under flat names, without characters that some trackers reject."""
    metrics = {}
    for name, summary in results["datasets"].items():
        prefix = f"evaluation/{results['stage']}/{name}"
        metrics[f"{prefix}/avg_at_{summary['num_samples']}"] = summary["avg_at_n"]["mean"]
        metrics |= {f"{prefix}/pass_at_{k}": figure["mean"] for k, figure in summary["pass_at_k"].items()}
        if "greedy" in summary:
            metrics[f"{prefix}/greedy"] = summary["greedy"]["mean"]
        metrics |= {f"{prefix}/{key}": summary[key] for key in ("mean_tokens", "truncated_frac")}
    return metrics


def main(recipe_file: Path, folder: Path) -> None:
    from vcore_verl.sft.tracking import open_trackers

    recipe = read(recipe_file)
    results = json.loads((folder / RESULTS).read_text())
    trained = {"base": 0, "pre_rl": recipe.sft.steps, "post_rl": recipe.rl.steps}
    config = settings(recipe) | {"trainer": {}}  # verl looks for a proxy there
    trackers = open_trackers(recipe.name, run_name(recipe, results["stage"]), recipe.tracking, config)
    trackers.log(evaluation_metrics(results), trained[results["stage"]])
    trackers.finish()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
