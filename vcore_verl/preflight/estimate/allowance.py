"""How long a stage may go without progress before it counts as stalled. Imports no torch."""

import math
from collections.abc import Callable
from functools import partial

from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.estimate.architecture import UnknownArchitecture
from vcore_verl.preflight.estimate.cost import GPUS, Gpu, reference_seconds, step_seconds
from vcore_verl.preflight.estimate.settings import Settings, settings_of

# Allowed for each planned second: the plan takes responses to be half as long as they may be, and attention to run at
# the speed of flash attention.
MARGIN = 4


def stall_seconds(recipe: Recipe, stage: str) -> float:
    """Seconds without a new step after which `stage` of the resolved `recipe` is stopped: `hardware.stall_minutes`, and
    on GPUs no fewer than four planned steps of SFT or RL.

    Other stages report each response or file, which takes minutes at most.
    """
    least = 60 * recipe.hardware.stall_minutes
    return max(least, MARGIN * longest_step(recipe, stage)) if stage in ("sft", "rl") else least


def preparation_seconds(recipe: Recipe, stage: str) -> float:
    """Seconds allowed, beside those of any start, for what `stage` computes on GPUs before its first step."""
    return MARGIN * _slowest(recipe, reference_seconds) if stage == "sft" else 0.0


def longest_step(recipe: Recipe, stage: str) -> float:
    """Planned seconds of a step of "sft" or "rl" on the slowest GPU; 0 on a CPU, and for a model of unknown shape."""
    return _slowest(recipe, partial(step_seconds, stage=stage))


def _slowest(recipe: Recipe, planned: Callable[[Settings, Gpu], float]) -> float:
    if recipe.hardware.device == "cpu":
        return 0.0
    try:
        s = settings_of(recipe)
    except UnknownArchitecture:
        return 0.0
    return max((seconds for gpu in GPUS if (seconds := planned(s, gpu)) < math.inf), default=0.0)
