"""Setup of a process that holds a model in RL: what `vcore_verl.cpu` does for the device, and the algorithm's loss.

verl imports this module through `model.external_lib` (verl/workers/config/model.py:149).
"""

import importlib

from vcore_verl.cpu import external_library, launched_on_cpu
from vcore_verl.rl import hooks

importlib.import_module(external_library("cpu" if launched_on_cpu() else "cuda"))
hooks.install()
