"""The hardware of a run, decided once for all processes. Asks the system, so that torch need not be imported."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from vcore_verl.config import versions
from vcore_verl.config.recipe import Recipe, RecipeError


def num_gpus() -> int:
    """NVIDIA devices that a CUDA process started here would see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([entry for entry in visible.split(",") if entry.strip() not in ("", "-1")])
    devices = [path for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    if devices or shutil.which("nvidia-smi") is None:
        return len(devices)
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)  # devices of WSL2
    return len(re.findall(r"^GPU \d+:", listed.stdout, re.MULTILINE))


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with `hardware.device` as cuda or cpu."""
    if recipe.hardware.device != "auto":
        return recipe
    device = "cuda" if num_gpus() else "cpu"
    return replace(recipe, hardware=replace(recipe.hardware, device=device))


def shortage(recipe: Recipe) -> str | None:
    """One line on what the resolved recipe needs and this machine lacks; None if nothing is missing."""
    if missing := _missing_nodes(recipe):
        return missing
    if recipe.hardware.device == "cpu":
        return None
    needed, present = recipe.hardware.gpus, num_gpus()
    if present >= needed:
        return None
    needs = f"recipe {recipe.name} needs {needed} NVIDIA GPU{'s' * (needed > 1)}"
    if recipe.hardware.nodes > 1:
        needs += f" on each of {recipe.hardware.nodes} nodes"
    if present == 0:
        return f"{needs}; this machine has none. The recipe tiny runs on a CPU: bash scripts/sft_then_grpo.sh tiny"
    return f"{needs}; this machine has {present}. Add hardware.gpus={present} (global batch sizes stay as they are)"


def _missing_nodes(recipe: Recipe) -> str | None:
    nodes, allocated = recipe.hardware.nodes, int(os.environ.get("SLURM_JOB_NUM_NODES", 0))
    if nodes == 1 or (in_cluster() and allocated == nodes):
        return None
    here = f"this Slurm job has {allocated}" if allocated else "this is not a Slurm job"
    command = f"sbatch --nodes={nodes} scripts/slurm/nodes.sbatch scripts/sft_then_grpo.sh {recipe.word} nodes={nodes}"
    return f"recipe {recipe.name} needs {nodes} nodes, but {here}; start it with {command}"


def in_cluster() -> bool:
    """Whether RL joins an existing Ray cluster, whose processes have their own environment."""
    return "RAY_ADDRESS" in os.environ


def offload_threads(ranks: int) -> dict[str, str]:
    """Environment for training with the optimizer on the CPU: each of a node's ranks gets an equal share of its
    threads. Empty if the user has set the number.

    Otherwise torchrun and Ray give each rank one (torch/distributed/run.py:872, ray/_private/utils.py:236).
    """
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks))}


def expandable_segments() -> dict[str, str]:
    """Environment for training on CUDA with different shapes at every step: PyTorch reuses the memory of earlier steps
    instead of fragmenting it. Empty if the user has set the allocator.

    Not for RL, where verl itself turns this on for training only, since vLLM's sleep mode does not support it
    (verl/workers/engine_workers.py:768, vllm/device_allocator/cumem.py:330).
    """
    if {"PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"} & os.environ.keys():
        return {}
    return {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


def obstacle(recipe: Recipe) -> str | None:
    """One line on why the resolved recipe would not start here: hardware, or the version of a library; else None."""
    return shortage(recipe) or versions.mismatch(recipe.hardware.device == "cpu")


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` if this machine lacks what the resolved recipe needs."""
    if reason := obstacle(recipe):
        raise RecipeError(reason)
