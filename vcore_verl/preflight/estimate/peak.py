"""The memory that a training took on a GPU, beside what was planned. Imports no torch."""

from pathlib import Path

from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.estimate.architecture import UnknownArchitecture
from vcore_verl.preflight.estimate.memory import GIB, phases
from vcore_verl.preflight.estimate.settings import settings_of
from vcore_verl.runs.metrics_file import read

# Of the rank that logs, GiB (verl/workers/engine_workers.py:219); in RL with a prefix.
MEASURED = "perf/max_memory_allocated_gb"
TRAINING = {"sft": "SFT, ", "rl": "RL, update"}


def peak_memory(recipe: Recipe, stage: str, metrics: Path) -> list[str]:
    """A line for a finished training, "sft" or "rl", of the resolved `recipe`; none on a CPU, where verl measures the
    process, and for a model of unknown shape.

    The plan's assumed context is left out: PyTorch's allocator does not see it.
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
