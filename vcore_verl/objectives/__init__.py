"""Token objectives: token log-probabilities in, detached token weights out. Knows nothing of verl, Ray or recipes.

One small file per objective, which declares its settings with it. A new one is a file with a function under
`@register("name")`, here or beside a recipe of one's own, and an `init/name.yaml`.
"""

from vcore_verl.objectives.placebo import shuffled
from vcore_verl.objectives.registry import Objective, Tokens, Weighting, build, names, register
from vcore_verl.objectives.vcore import gibbs_weights, variance_scale
from vcore_verl.setting import Setting

__all__ = [
    "Objective",
    "Setting",
    "Tokens",
    "Weighting",
    "build",
    "gibbs_weights",
    "names",
    "register",
    "shuffled",
    "variance_scale",
]
