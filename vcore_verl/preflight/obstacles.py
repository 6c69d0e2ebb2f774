"""Reasons why a recipe cannot run on this machine's GPUs or CPU, found before it starts. Imports no torch."""

from vcore_verl.attention import NAME, WIDEST
from vcore_verl.config.checks import is_published
from vcore_verl.config.overrides import lookup
from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.doctor.machine import GIB, GpuState, cpu_flags, gpu_states
from vcore_verl.preflight.estimate.architecture import UnknownArchitecture
from vcore_verl.preflight.estimate.memory import phases
from vcore_verl.preflight.estimate.settings import Settings, settings_of
from vcore_verl.sft.limits import ATTENTION

OLDEST = (8, 0)  # lowest compute capability for flash attention and bfloat16 arithmetic


def obstacle(recipe: Recipe, states: list[GpuState]) -> str | None:
    """One line saying why the resolved `recipe` cannot run on these GPUs, or this CPU; None if nothing rules it out."""
    if recipe.hardware.device == "cpu":
        return _too_slow(recipe, cpu_flags())
    for state in states:
        if state.capability < OLDEST:
            return (
                f"{state.name} (compute capability {state.capability[0]}.{state.capability[1]}) is too old: bfloat16 "
                "and flash attention need 8.0, as an A100 or an RTX 3090 has"
            )
    try:
        s = settings_of(recipe)
    except UnknownArchitecture:
        return None
    return _too_wide(s) or (_too_small(s, min(states, key=lambda state: state.memory)) if states else None)


def obstacle_here(recipe: Recipe) -> str | None:
    """`obstacle` for this machine."""
    return obstacle(recipe, [] if recipe.hardware.device == "cpu" else gpu_states())


def _too_slow(recipe: Recipe, flags: frozenset[str]) -> str | None:
    """bfloat16 without AVX-512: oneDNN does not take it there, and PyTorch's own product is slower by orders."""
    small = not is_published(recipe.model.path)
    if recipe.model.dtype == "float32" or small or "avx2" not in flags or "avx512bw" in flags:
        return None
    return (
        "this CPU has no AVX-512, without which PyTorch takes minutes for a step in bfloat16: set model.dtype=float32"
    )


def _too_wide(s: Settings) -> str | None:
    """Heads too wide for forward mode, which doubles them (vcore_verl/attention/packed.py)."""
    probe, attention = s.recipe.init.probing, lookup(s.recipe.sft.verl, ATTENTION) or NAME
    if probe is None or probe.derivative != "jvp" or attention != NAME or s.recipe.model.dtype == "float32":
        return None
    if 2 * s.model.head_dim <= WIDEST:
        return None
    return (
        f"{s.recipe.model.path} has heads of {s.model.head_dim} numbers, and flash attention in forward mode takes "
        f"{WIDEST // 2} at most: set init.probe.derivative=central"
    )


def _too_small(s: Settings, smallest: GpuState) -> str | None:
    """Training states that do not fit even alone. Other memory is an estimate, for which doctor warns."""
    for phase in phases(s, smallest.memory):
        if phase.parts.get("states", 0) > smallest.memory:
            return f"{smallest.name}, {smallest.memory / GIB:.0f} GiB, is too small: {phase.shortage(smallest.memory)}"
    return None
