"""Log-probabilities under the policy of some steps ago, for objectives that stay close to it.

It costs a forward pass before each step and a copy of the trained parameters. The copy is part of the optimizer's
state, so that it is saved and restored with it.
"""

from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from vcore_verl.sft.probe import passes

OLD = "vcore_old_parameters"


class OldPolicy:
    """The policy before steps 1, 1 + `refresh`, 1 + 2 `refresh` and so on."""

    def __init__(self, engine: Any, refresh: int):
        self.engine, self.refresh, self.step = engine, refresh, 0
        # Adam initialises only an empty state, so the copy joins it after the first step.
        self.first = {} if self._parameters() else self._copies()
        engine.optimizer.register_step_post_hook(self._after_step)

    def measure(self, data: TensorDict, step: int) -> None:
        """Add "old_log_probs" to `data`: log p of each next token, with the dropout masks of the training pass."""
        self.step = step
        with passes.same_randomness(), passes.replaced(self.engine, self._parameters() or self.first):
            data["old_log_probs"] = passes.precise_log_probs(self.engine, data)

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        kept = self._copies() if self.step % self.refresh == 0 else self.first
        for name, parameter in passes.trainable(self.engine).items():
            if name in kept:
                optimizer.state[parameter][OLD] = kept[name]
        self.first = {}

    def _copies(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in passes.trainable(self.engine).items()}

    def _parameters(self) -> dict[str, Tensor]:
        """The kept copy; empty before the first step."""
        states = {name: self.engine.optimizer.state.get(p, {}) for name, p in passes.trainable(self.engine).items()}
        return {name: state[OLD] for name, state in states.items() if OLD in state}
