"""The export of a checkpoint as a stage: its command, and the checks of its result. Imports no torch."""

import json
import sys
from pathlib import Path

from vcore_verl.config.recipe import Recipe
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.runtime.process import Command

RECORD = "export.json"
LEAST_KEPT = 0.9  # share of the weight update


def export_command(recipe: Recipe, run: Run, stage: str) -> Command:
    """Export the last checkpoint of `stage` ("sft" or "rl")."""
    places = {
        "sft": (run.sft_checkpoints / f"global_step_{recipe.sft.steps}", run.sft_start, run.sft_hf),
        "rl": (run.rl_checkpoints / f"global_step_{recipe.rl.steps}" / "actor", run.rl_start, run.rl_hf),
    }[stage]
    argv = [sys.executable, "-m", "vcore_verl.pipeline.export", *map(str, places), recipe.model.dtype]
    return Command(argv=argv, env={}, progress=places[-1].parent / "export.jsonl", total=1, unit="checkpoint")


def verify_export(target: Path, digests: Digests) -> None:
    """Raise `ArtefactError` unless the exported files have the hashes recorded after the export was verified."""
    path = target / RECORD
    if not path.is_file():
        raise ArtefactError(f"{path} is missing: the export did not finish")
    record = json.loads(path.read_text())
    if "update_kept" not in record:
        raise ArtefactError(f"{path} does not say how much of the training was kept: an earlier version rounded it")
    for name, digest in record["sha256"].items():
        if digests.of(target / name) != digest:
            raise ArtefactError(f"{target / name} is not the file that was exported")


def export_warnings(target: Path, stage: str, dtype: str) -> list[str]:
    """One line if inference in `dtype` sees less than `LEAST_KEPT` of the weight update."""
    kept = json.loads((target / RECORD).read_text())[seen_by(dtype)]
    if kept >= LEAST_KEPT:
        return []
    return [
        f"evaluation and rollouts in {dtype} see {kept:.0%} of what {stage.upper()} changed; rounding loses the rest. "
        "The export and RL's float32 master weights keep all of it. Set model.dtype=float32 to compute with all of it, "
        f"or raise {stage}.learning_rate"
    ]


def seen_by(dtype: str) -> str:
    """The record's key for the share of the weight update that inference in `dtype` sees."""
    return f"update_kept_in_{dtype}"
