"""The type of an objective, and the registry of objectives by name.

An objective turns the token log-probabilities of a micro-batch into detached token weights. The training step then
minimises `sum_i sum_t w_it l_it / N`, with N the number of supervised tokens in the global batch. Sequences are
weighted independently, so weights do not depend on micro-batches, packing or ranks.
"""

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

TOP = 20  # tokens in `Tokens.entropy_T`; all of a smaller vocabulary


@dataclass(frozen=True)
class Losses:
    """Losses l_t in nats of packed sequences, float32, and the sequences' int64 offsets; the order has no meaning."""

    loss_T: Tensor
    cu_seqlens_S1: Tensor


@dataclass(frozen=True)
class Tokens:
    """Supervised tokens of a micro-batch, packed (legend: `vcore_verl.objectives.packed`); all tensors detached.

    loss_T: l = -log p(y_t) in nats, float32. cu_seqlens_S1: int64 offsets. example_S: int64 index of each sequence in
    the training set. answer_T: bool, the token is inside the last \\boxed{...}. reference_T: log p_ref(y_t) of the
    initial model, float32, for objectives that need "reference". utility_T: s_t, the decrease of l_t per unit step
    along the probe direction, float32, for objectives that need "utility". kind_T: int64, the token's index in
    `vcore_verl.objectives.kinds.KINDS`, for objectives that need "kind". entropy_T: entropy in nats of the `TOP` most
    probable tokens at the label's place, renormalised, float32, for objectives that need "entropy". half_cosine:
    cosine of the gradients of the probe batch's halves, for objectives that need "half_cosine". batch: the global
    batch's losses before the step, for objectives that need "batch". behaviour_T: log p_beta(y_t) of the policy that
    wrote the traces, float32, for objectives that need "behaviour". old_T: log p(y_t) of the policy of some
    steps ago, float32, for objectives that need "old". seed: the run's seed.
    """

    loss_T: Tensor
    cu_seqlens_S1: Tensor
    example_S: Tensor
    answer_T: Tensor
    reference_T: Tensor | None = None
    utility_T: Tensor | None = None
    kind_T: Tensor | None = None
    entropy_T: Tensor | None = None
    half_cosine: float | None = None
    batch: Losses | None = None
    behaviour_T: Tensor | None = None
    old_T: Tensor | None = None
    seed: int = 0

    def needed(self, name: str) -> Any:
        """The optional field `name`, such as "reference". Raises ValueError if it was not supplied."""
        field = f"{name}_T" if hasattr(self, f"{name}_T") else name
        if getattr(self, field) is None:
            raise ValueError(f"this objective needs {field}")
        return getattr(self, field)


@dataclass(frozen=True)
class Weighting:
    """weights_T: w_it, float32, non-negative. alpha_S: the per-sequence factor already included in it, or None."""

    weights_T: Tensor
    alpha_S: Tensor | None = None


@dataclass(frozen=True)
class Objective:
    """A registered objective with its settings bound; `needs` names the optional fields of `Tokens` that it reads.

    `rewrite(response, example, seed)` is the response to train on in place of an example's own; None leaves them all.
    """

    name: str
    needs: frozenset[str]
    weigh: Callable[[Tokens], Weighting]
    rewrite: Callable[[str, int, int], str] | None = None


_objectives: dict[str, Objective] = {}


def register(
    name: str,
    *,
    needs: tuple[str, ...] = (),
    exactly_one: tuple[tuple[str, ...], ...] = (),
    colour: str | None = None,
    marker: str | None = None,
    compared: bool = False,
) -> Callable[[Callable[..., Weighting]], Callable[..., Weighting]]:
    """Make the decorated `weigh(tokens, *, settings...) -> Weighting` the objective `name`.

    Its keyword-only parameters are its settings, each `name: Annotated[type, Setting("effect", ...)] = default`.
    `needs` names the optional fields of `Tokens` that it reads, such as "reference"; with "clean_probe", the probe's
    gradient is that of the loss that `oracle` weights; "old" takes a setting `refresh`, the old policy's steps. In
    each group of settings in `exactly_one`, exactly one must be set, the others None. `colour` and `marker` are
    matplotlib's, chosen automatically if not given; `compared` objectives are the default arms of a comparison.

    All of these must be literals: the launcher parses them from the source (`vcore_verl.config.objectives`) and checks
    the settings before anything starts. To make a preset a separate arm, add a second `@register` above the first.
    """

    def decorate(weigh: Callable[..., Weighting]) -> Callable[..., Weighting]:
        _objectives[name] = Objective(name, frozenset(needs), weigh)
        return weigh

    return decorate


def rewrites(name: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Make the decorated `rewrite(response, example, seed, *, settings...) -> response` change the training data of the
    objective `name`, which is registered above it with the same settings.

    Raises ValueError if the objective needs what belongs to the responses as they were: "reference", "kind",
    "behaviour".
    """

    def decorate(rewrite: Callable[..., str]) -> Callable[..., str]:
        if stale := sorted(_objectives[name].needs & {"reference", "kind", "behaviour"}):
            raise ValueError(f"{name} rewrites the responses, so it cannot need their {stale[0]}")
        _objectives[name] = replace(_objectives[name], rewrite=rewrite)
        return rewrite

    return decorate


def names() -> list[str]:
    """Names of all objectives. Imports every module of this package, so that adding an objective takes one file."""
    package = importlib.import_module("vcore_verl.objectives")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return sorted(_objectives)


def build(name: str, settings: Mapping[str, Any], file: Path | None = None) -> Objective:
    """The objective `name` of the package, or of `file`, with `settings` replacing its defaults.

    Raises ValueError for an unknown name or setting.
    """
    if file is not None:
        _run(file)
    if name not in names():
        raise ValueError(f"unknown objective {name!r}: choose one of {', '.join(names())}")
    objective = _objectives[name]
    parameters = inspect.signature(objective.weigh).parameters.values()
    defaults = {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}
    if unknown := sorted(set(settings) - set(defaults)):
        raise ValueError(f"init.{unknown[0]} is not a setting of {name}, which has {', '.join(defaults) or 'none'}")
    chosen = defaults | dict(settings)
    rewrite = objective.rewrite and partial(objective.rewrite, **chosen)
    return Objective(name, objective.needs, partial(objective.weigh, **chosen), rewrite)


def _run(file: Path) -> None:
    """Import a file by its path, so that its objectives register."""
    spec = importlib.util.spec_from_file_location(f"objective_{file.stem}", file)
    assert spec is not None and spec.loader is not None  # it ends in .py
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
