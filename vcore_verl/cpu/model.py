"""Setup that a process needs before it builds a model, on any device.

verl imports this module through `model.external_lib`, before it reads the model's configuration
(verl/workers/config/model.py:149): only in workers that hold a model, not in Ray's many lightweight actors.
"""

import vcore_verl.attention.packed  # noqa: F401  registers our attention with transformers
from vcore_verl.cpu.patches import use_blockwise_log_probs

use_blockwise_log_probs()
