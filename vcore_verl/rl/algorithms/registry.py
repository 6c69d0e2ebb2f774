"""The type of an RL algorithm, and the registry of algorithms by name.

An algorithm is what it sets in verl's configuration and up to four hooks, methods that replace a part of GRPO. The
hooks know tensors and nothing of verl; `vcore_verl.rl.hooks` connects them to it.

Legend: B = the responses of a step, or of a micro-batch in a loss; L = response positions, padded on the right.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from vcore_verl.config.algorithms import HOOKS
from vcore_verl.rl.allocation import Pilots


@dataclass(frozen=True)
class Responses:
    """The responses of a step, without the rows that only pad the batch.

    prompt_B: the prompt's id. answer_B: the cluster of each response's answer among those to its prompt, see
    `reward.answers`. reward_B, and old_log_prob_BL (nats, under the policy that starts the step): float32.
    mask_BL: bool, true at the response's tokens.
    """

    prompt_B: Sequence[str]
    answer_B: Sequence[int]
    reward_B: Tensor
    old_log_prob_BL: Tensor
    mask_BL: Tensor

    def by_prompt(self) -> dict[str, list[int]]:
        """Prompt -> rows of its responses."""
        rows: dict[str, list[int]] = {}
        for row, prompt in enumerate(self.prompt_B):
            rows.setdefault(prompt, []).append(row)
        return rows


@dataclass(frozen=True)
class Scaling:
    """factor_BL: what the advantages are multiplied by, non-negative, (B, L) or (B, 1). metrics: logged in the step."""

    factor_BL: Tensor
    metrics: Mapping[str, float] = field(default_factory=dict)


class Algorithm:
    """GRPO. A subclass defines its settings, and the hooks that it needs, in its own body."""

    def advantages(self, reward_B: Tensor, prompt_B: Sequence[str]) -> Tensor:
        """One advantage per response, (B,) float32, in place of verl's estimator. Rows that pad the batch are included,
        as a prompt of their own with reward 0.
        """
        raise NotImplementedError

    def token_loss(self, log_ratio_BL: Tensor, advantage_BL: Tensor) -> Tensor:
        """The loss of each token, (B, L), in place of the clipped ratio; verl averages it by `rl.loss_aggregation`.

        log_ratio = log pi - log pi_old carries the gradient. Positions beyond a response hold arbitrary finite numbers.
        """
        raise NotImplementedError

    def scale(self, responses: Responses) -> Scaling:
        """What the step's advantages are multiplied by, after the estimator."""
        raise NotImplementedError

    def allocate(self, pilots: Pilots, total: int) -> np.ndarray:
        """The number of responses to each prompt that the step trains on, (P,) integers with sum `total`, from `pilot`
        responses to each. They are among them unless `discard_pilot`.

        The class then has the settings `pilot`, `discard_pilot`, and `lowest` and `highest`, the bounds of the numbers.
        """
        raise NotImplementedError


_algorithms: dict[str, type[Algorithm]] = {}
Registered = TypeVar("Registered", bound=type[Algorithm])


def register(
    name: str,
    *,
    verl: Mapping[str, Any] | None = None,
    ignores: tuple[str, ...] = (),
    groups: bool = True,
    binary: bool = False,
) -> Callable[[Registered], Registered]:
    """Make the decorated class the algorithm `name`.

    Its annotated attributes are its settings, each `name: Annotated[type, Setting("effect", ...)] = default`. `verl` is
    merged into verl's PPO configuration. `ignores` names common keys of the section `rl` without effect. `groups=False`
    allows one response to a prompt. `binary=True` refuses rewards other than 0 and 1.

    All of these must be literals: the launcher parses them from the source (`vcore_verl.config.algorithms`) and checks
    the settings before anything starts. To make a preset a separate algorithm, add a second `@register` above the
    first. Raises TypeError for a hook that the class inherits, since the launcher does not see it.
    """

    def decorate(algorithm: Registered) -> Registered:
        inherited = [hook for hook in hooks(algorithm) if hook not in vars(algorithm)]
        if inherited:
            raise TypeError(f"{algorithm.__name__} must define {inherited[0]} itself: only its own body is read")
        _algorithms[name] = dataclass(algorithm)
        return algorithm

    return decorate


def hooks(algorithm: type[Algorithm]) -> list[str]:
    """The hooks that a class has."""
    return [hook for hook in HOOKS if getattr(algorithm, hook) is not getattr(Algorithm, hook)]


def names() -> list[str]:
    """Names of all algorithms. Imports every module of this package, so that adding an algorithm takes one file."""
    package = importlib.import_module("vcore_verl.rl.algorithms")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return sorted(_algorithms)


def build(name: str, settings: Mapping[str, Any], file: Path | None = None) -> Algorithm:
    """The algorithm `name` of the package, or of `file`, with `settings` replacing its defaults.

    Raises ValueError for an unknown name or setting.
    """
    if file is not None:
        _run(file)
    if name not in names():
        raise ValueError(f"unknown algorithm {name!r}: choose one of {', '.join(names())}")
    algorithm: Any = _algorithms[name]
    accepted = [item.name for item in fields(algorithm)]
    if unknown := sorted(set(settings) - set(accepted)):
        raise ValueError(f"rl.{unknown[0]} is not a setting of {name}, which has {', '.join(accepted) or 'none'}")
    return algorithm(**settings)


def _run(file: Path) -> None:
    """Import a file by its path, so that its algorithms register."""
    spec = importlib.util.spec_from_file_location(f"algorithm_{file.stem}", file)
    assert spec is not None and spec.loader is not None  # it ends in .py
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
