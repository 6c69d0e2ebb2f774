"""The main conclusions of a plan: which GPUs a recipe fits, and how to shorten it. Imports no torch."""

import math

from vcore_verl.preflight.estimate.cost import GPUS, ROLLOUT, Gpu, hours
from vcore_verl.preflight.estimate.memory import GIB, shortages, tightest
from vcore_verl.preflight.estimate.settings import Settings


def reference_gpu(s: Settings) -> Gpu:
    """The smallest GPU that the recipe fits on, or the largest if it fits on none."""
    return next((gpu for gpu in GPUS if not shortages(s, gpu.memory)), GPUS[-1])


def verdict(s: Settings) -> str:
    """One line: the GPU sizes that the recipe fits and its tightest phase on the smallest, or why it fits on none."""
    sizes = dict.fromkeys(gpu.size for gpu in GPUS)
    fitting = [gpu.size for gpu in GPUS if not shortages(s, gpu.memory)]
    too_small = [size for size in sizes if size not in fitting]
    gpu = reference_gpu(s)
    if not fitting:
        return f"does not fit {_sizes(too_small)}: {shortages(s, gpu.memory)[0]}"
    found = f"fits GPUs of {_sizes(list(dict.fromkeys(fitting)))}; tightest: {closest(s, gpu.memory)} ({gpu.name})"
    return f"{found}; does not fit {_sizes(too_small)}" if too_small else found


def closest(s: Settings, memory: float) -> str:
    """The phase that leaves the least of `memory` bytes free, and how much it takes."""
    phase = tightest(s, memory)
    return f"{phase.name} {phase.total / GIB:.1f} of {memory / GIB:.1f} GiB"


def on_each_gpu(s: Settings) -> list[str]:
    """A line per GPU: whether the recipe fits in its memory."""
    lines = []
    for gpu in GPUS:
        short = shortages(s, gpu.memory)
        more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
        found = f"does not fit: {short[0]}{more}" if short else f"fits; tightest: {closest(s, gpu.memory)}"
        lines.append(f"{gpu.name}: {found}")
    return lines


def shortcut(s: Settings) -> str:
    """The part that takes most of the hours, and the key that would halve it."""
    gpu = reference_gpu(s)
    items = [item for item in hours(s, gpu) if item.amount < math.inf]
    most = max((item for item in items if halving(s, item.name)), key=lambda item: item.amount)
    total = sum(item.amount for item in items)
    return f"most hours: {most.name}, {most.amount:.1f} of {total:.1f} ({gpu.name}); {halving(s, most.name)} halves it"


def halving(s: Settings, part: str) -> str | None:
    """The key and value that would roughly halve a part of the hours; None if there is none."""
    recipe, evaluation = s.recipe, s.recipe.evaluation
    responses = evaluation.num_samples + evaluation.greedy
    samples = max(1, responses // 2 - evaluation.greedy)
    keys = {
        "SFT": f"sft.steps={recipe.sft.steps // 2}",
        ROLLOUT: f"rl.steps={recipe.rl.steps // 2}",
        "RL, update": f"rl.steps={recipe.rl.steps // 2}",
        "evaluation": f"evaluation.num_samples={samples}",
    }
    if recipe.init.probing:
        keys["SFT, probe"] = f"init.probe.every={2 * recipe.init.probing.every}"
    return keys.get(part)


def _sizes(sizes: list[int]) -> str:
    *others, last = map(str, sizes)
    return f"{', '.join(others)} and {last} GB" if others else f"{last} GB"
