"""RL algorithms: what each sets in verl's configuration, and the parts of GRPO that it replaces.

Each is one small file that also declares its settings. To add one, write a class decorated with `@register("name")`,
here or next to your recipe, and an `rl/name.yaml`.
"""

from vcore_verl.rl.algorithms.registry import Algorithm, Responses, Scaling, build, hooks, names, register
from vcore_verl.setting import Setting

__all__ = ["Algorithm", "Responses", "Scaling", "Setting", "build", "hooks", "names", "register"]
