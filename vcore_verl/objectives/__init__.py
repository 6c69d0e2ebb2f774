"""Token objectives: token log-probabilities in, detached token weights out. Independent of verl, Ray and recipes.

Each objective is one small file that also declares its settings. To add one, write a function decorated with
`@register("name")`, here or next to your recipe, and an `init/name.yaml`.
"""

from vcore_verl.objectives.placebo import shuffled
from vcore_verl.objectives.registry import Losses, Objective, Tokens, Weighting, build, names, register, rewrites
from vcore_verl.objectives.vcore import gibbs_weights, variance_scale
from vcore_verl.setting import Setting

__all__ = [
    "Losses",
    "Objective",
    "Setting",
    "Tokens",
    "Weighting",
    "build",
    "gibbs_weights",
    "names",
    "register",
    "rewrites",
    "shuffled",
    "variance_scale",
]
