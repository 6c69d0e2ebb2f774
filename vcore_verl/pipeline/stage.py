"""A stage of a run, and what its result depends on. Imports no torch.

A stage is current while nothing it depends on has changed: its recipe keys, the versions of the packages and the code
that compute it, and the content of its input files. Only content counts: if an earlier stage reruns and its result is
the same, later stages stay current.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import Recipe, settings
from vcore_verl.config.versions import package_version
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import Run
from vcore_verl.runtime.process import Command

# Keys of verl's two trainers.
LOGGING = ("logger", "project_name", "experiment_name", "log_val_generations", "profile_interval")
CHECKPOINTS = ("save_freq", "test_freq", "max_ckpt_to_keep", "max_actor_ckpt_to_keep", "max_critic_ckpt_to_keep")
FILES = ("rollout_data_dir", "validation_data_dir")
# Keys that affect placement or frequency, not results; `model.family` is implied by `model.path`.
IMMATERIAL = {
    "model.family",
    "hardware.stall_minutes",
    "hardware.tensor_parallel",
    "sft.save_every",
    "rl.save_every",
    "rl.variant",
    "rl.verl.actor_rollout_ref.rollout.disable_log_stats",
    *(f"{section}.verl.trainer.{key}" for section in ("sft", "rl") for key in (*LOGGING, *CHECKPOINTS, *FILES)),
}
PACKAGE = ROOT / "vcore_verl"
# Checkpoints are sharded by rank, so training cannot resume with another number of ranks; once done, it is irrelevant.
UNTIL_FINISHED = {
    "hardware.gpus",
    "hardware.nodes",
    *(f"{section}.verl.trainer.{key}" for section in ("sft", "rl") for key in ("n_gpus_per_node", "nnodes")),
}


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline. It writes only into `folder`, or only its `own` files there; `artefacts` in it are
    hashed when it is done. If only what it `extends` changes, it adds to its result, which stays in place.

    `keys` are recipe keys or sections; `code` returns the hashes of `code.code_of`; `inputs` may contain wildcards;
    `after` names the stages that make the inputs. `verify` raises `ArtefactError` unless the result is complete;
    `warnings` reports valid but suspicious results, `remarks` other facts about them; `tracking` logs the result, which
    may fail. The record is in `home`, and all runs below it share the result. With `keep=False` the previous result is
    overwritten.
    """

    name: str
    purpose: str
    home: Path
    folder: Path
    artefacts: tuple[Path, ...]
    command: Callable[[], Command]
    verify: Callable[[], None]
    keys: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    code: Callable[[], dict[str, str]] = dict
    inputs: tuple[Path, ...] = ()
    after: tuple[str, ...] = ()
    own: tuple[Path, ...] = ()
    extends: frozenset[str] = frozenset()
    keep: bool = True
    warnings: Callable[[], list[str]] = list
    remarks: Callable[[], list[str]] = list
    tracking: Callable[[], Command] | None = None


def dependencies(stage: Stage, recipe: Recipe, run: Run, digests: Digests) -> dict[str, Any]:
    """Everything that the result of `stage` depends on: readable name -> value or digest."""
    keys = {
        key: value
        for key, value in settings(recipe).items()
        if key not in IMMATERIAL and any(key == part or key.startswith(part + ".") for part in stage.keys)
    }
    packages = {f"package {name}": package_version(name) for name in stage.packages}
    inputs = {input_name(path, run): digests.of(path) for path in stage.inputs}
    return {**keys, **packages, **inputs}


def input_name(path: Path, run: Run) -> str:
    """The path relative to the innermost folder of the run, or to the package for a file of this project."""
    homes = [home for home in (run.rl_home, run.sft_home, PACKAGE) if path.is_relative_to(home)]
    return os.path.relpath(path, homes[0] if homes else run.root)
