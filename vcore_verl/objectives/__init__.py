"""Token objectives: token log-probabilities in, detached token weights out. Knows nothing of verl, Ray or recipes.

One small file per objective; a new one is a file here with a function under `@register("name")` and a
`recipes/init/name.yaml`.
"""

from vcore_verl.objectives.registry import Objective, Tokens, Weighting, build, names
from vcore_verl.objectives.vcore import gibbs_weights, variance_scale

__all__ = ["Objective", "Tokens", "Weighting", "build", "gibbs_weights", "names", "variance_scale"]
