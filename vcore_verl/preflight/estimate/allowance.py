"""How long a stage may go without progress before it counts as stalled. Imports no torch."""

import math

from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.estimate.architecture import UnknownArchitecture
from vcore_verl.preflight.estimate.cost import GPUS, reference_seconds, step_seconds
from vcore_verl.preflight.estimate.memory import shortages
from vcore_verl.preflight.estimate.settings import settings_of

# Seconds allowed per planned second: the plan assumes that responses have half the allowed length, and that attention
# is as fast as flash attention.
MARGIN = 4


def stall_seconds(recipe: Recipe, stage: str) -> float:
    """Seconds without a new step after which `stage` of the resolved `recipe` is stopped: `hardware.stall_minutes`, but
    on GPUs at least the planned time of four steps of SFT or RL.

    Other stages report every response or file, each within minutes.
    """
    return max(60 * recipe.hardware.stall_minutes, MARGIN * longest(recipe, stage))


def preparation_seconds(recipe: Recipe, stage: str) -> float:
    """Seconds allowed, in addition to the usual start-up, for GPU computation of `stage` before its first step."""
    return MARGIN * longest(recipe, "reference") if stage == "sft" else 0.0


def longest(recipe: Recipe, work: str) -> float:
    """Planned seconds of a step of "sft" or "rl", or of the "reference" pass, on the slowest GPU that the recipe fits.

    0 for other stages, on a CPU, and for an unknown architecture.
    """
    if recipe.hardware.device == "cpu" or work not in ("sft", "rl", "reference"):
        return 0.0
    try:
        s = settings_of(recipe)
    except UnknownArchitecture:
        return 0.0
    able = [gpu for gpu in GPUS if not shortages(s, gpu.memory)] or GPUS
    planned = [reference_seconds(s, gpu) if work == "reference" else step_seconds(s, gpu, work) for gpu in able]
    return max((seconds for seconds in planned if seconds < math.inf), default=0.0)
