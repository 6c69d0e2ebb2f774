"""The step size of a finite difference, chosen by measurement.

A step that is too small is dominated by rounding noise, one that is too large leaves the linear range. Either makes the
utilities at neighbouring steps disagree, so the step with the least relative disagreement is chosen, and that
disagreement is the remaining noise.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Neighbouring steps differ by this factor; the search covers displacements of 1e-6 to 1e-1 of the parameters' norm.
FACTOR = math.sqrt(10)
SEARCH = tuple(1e-6 * FACTOR**k for k in range(11))
CHECK_EVERY = 20  # steps


@dataclass
class StepSize:
    """Keeps `epsilon` (in units of the direction) and the signal-to-noise ratio of the utilities measured with it.

    `chosen` is the user's epsilon, or None for automatic choice: searched over the whole range at first, then among
    neighbours every `CHECK_EVERY` steps. Not saved with checkpoints: a resumed run searches again.
    """

    chosen: float | None
    relative: float | None = None  # displacement / norm of the parameters
    signal_to_noise: float = math.nan
    countdown: int = 0

    def update(self, parameter_norm: float, direction_norm: float, utilities: Callable[[float], Tensor]) -> float:
        """The epsilon of this step; `utilities(epsilon)` measures s on a few sequences of this rank, as a float tensor.

        Raises ValueError if the direction is zero.
        """
        if direction_norm == 0:
            raise ValueError("the probe gradient is zero: no token has a utility")
        unit = parameter_norm / direction_norm
        if self.countdown == 0:
            self.countdown = CHECK_EVERY
            self._measure(unit, utilities)
        self.countdown -= 1
        assert self.relative is not None
        return self.chosen if self.chosen is not None else self.relative * unit

    def _measure(self, unit: float, utilities: Callable[[float], Tensor]) -> None:
        ladder: tuple[float, ...]
        if self.chosen is not None:
            ladder = (self.chosen / unit, self.chosen / unit * FACTOR)
        elif self.relative is None:
            ladder = SEARCH
        else:
            ladder = tuple(self.relative * FACTOR ** (k - 2) for k in range(4))
        measured = [utilities(relative * unit).double() for relative in ladder]
        # Beyond the linear range utilities and their differences both shrink with the step, so the difference is taken
        # relative to the signal.
        ratios = [_norm(after) / max(_norm(after - before), 1e-300) for before, after in itertools.pairwise(measured)]
        best = max(range(len(ratios)), key=ratios.__getitem__)
        # Of the two that agree best take the longer: less rounding noise, and their agreement shows that it is linear.
        self.relative, self.signal_to_noise = ladder[best + 1], ratios[best]


def _norm(values: Tensor) -> float:
    """Euclidean norm over all ranks."""
    square = values.square().sum()
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(square)
    return math.sqrt(float(square))
