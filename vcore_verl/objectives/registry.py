"""What an objective is, and the table of objectives by name.

An objective turns the token log-probabilities of a micro-batch into detached token weights. The training step then
minimises `sum_i sum_t w_it l_it / N`, with N the supervised tokens of the global batch. Each sequence is weighted by
itself, so weights do not depend on micro-batches, packing or ranks.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Supervised tokens of a micro-batch, packed (legend: `vcore_verl.objectives.packed`); all tensors detached.

    loss_T: l = -log p(y_t) in nats, float32. cu_seqlens_S1: int64 offsets. example_S: int64 index of each sequence in
    the training set. answer_T: bool, the token lies inside the last \\boxed{...}. reference_T: log p_ref(y_t) of the
    initial model, float32, for objectives that need "reference". utility_T: s_t, the decrease of l_t per unit step
    along the probe direction, float32, for objectives that need "utility".
    """

    loss_T: Tensor
    cu_seqlens_S1: Tensor
    example_S: Tensor
    answer_T: Tensor
    reference_T: Tensor | None = None
    utility_T: Tensor | None = None

    def needed(self, name: str) -> Tensor:
        """The optional field `name` ("reference" or "utility"). Raises ValueError where it was not supplied."""
        field: Tensor | None = getattr(self, f"{name}_T")
        if field is None:
            raise ValueError(f"this objective needs {name}_T")
        return field


@dataclass(frozen=True)
class Weighting:
    """weights_T: w_it, float32, non-negative. alpha_S: the factor per sequence already contained in it, or None."""

    weights_T: Tensor
    alpha_S: Tensor | None = None


@dataclass(frozen=True)
class Objective:
    """A registered objective with its settings filled in; `needs` names the optional fields of `Tokens` that it
    reads.
    """

    name: str
    needs: frozenset[str]
    weigh: Callable[[Tokens], Weighting]


_weigh: dict[str, Callable[..., Weighting]] = {}
_needs: dict[str, frozenset[str]] = {}


def register(
    *names: str, needs: tuple[str, ...] = ()
) -> Callable[[Callable[..., Weighting]], Callable[..., Weighting]]:
    """Make the decorated `weigh(tokens, *, settings...) -> Weighting` known by each of `names`.

    A second name is for a preset that is an arm of its own in comparisons.
    """

    def decorate(weigh: Callable[..., Weighting]) -> Callable[..., Weighting]:
        for name in names:
            _weigh[name], _needs[name] = weigh, frozenset(needs)
        return weigh

    return decorate


def names() -> list[str]:
    """All objectives. Every module of this package is imported, so that a new one takes one file."""
    package = importlib.import_module("vcore_verl.objectives")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return sorted(_weigh)


def build(name: str, settings: Mapping[str, Any]) -> Objective:
    """The objective `name` with those of `settings` that its keyword-only parameters name.

    Raises ValueError for an unknown name or a setting outside its range.
    """
    if name not in names():
        raise ValueError(f"unknown objective {name!r}: choose one of {', '.join(names())}")
    weigh = _weigh[name]
    accepted = [p.name for p in inspect.signature(weigh).parameters.values() if p.kind is p.KEYWORD_ONLY]
    chosen = {key: settings[key] for key in accepted if key in settings}
    return Objective(name, _needs[name], lambda tokens: weigh(tokens, **chosen))
