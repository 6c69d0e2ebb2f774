"""Measured peak memory of a training stage on a GPU, compared with the plan. Imports no torch."""

from pathlib import Path

from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.estimate.architecture import UnknownArchitecture
from vcore_verl.preflight.estimate.memory import GIB, phases
from vcore_verl.preflight.estimate.settings import settings_of
from vcore_verl.runs.metrics_file import read

# GiB, of the logging rank (verl/workers/engine_workers.py:219); has a prefix in RL.
MEASURED = "perf/max_memory_allocated_gb"
TRAINING = {"sft": "SFT, ", "rl": "RL, update"}


def peak_memory(recipe: Recipe, stage: str, metrics: Path) -> list[str]:
    """A line for a finished stage, "sft" or "rl", of the resolved `recipe`; none on a CPU, where verl measures the
    process, or for a model of unknown architecture.

    The plan's assumed context is subtracted: PyTorch's allocator does not count it.
    """
    if recipe.hardware.device == "cpu":
        return []
    measured = [value for line in read(metrics) for name, value in line.items() if name.endswith(MEASURED)]
    try:
        found = phases(settings_of(recipe), 0)
        planned = max(phase.total - phase.parts["context"] for phase in found if phase.name.startswith(TRAINING[stage]))
    except UnknownArchitecture:
        return []
    return [f"peak memory {max(measured):.1f} GiB, planned {planned / GIB:.1f}"] if measured else []
