"""The chosen algorithm's hooks as verl calls them.

Estimators are called in the trainer's process, losses in the workers', so both processes `install` them. The command
passes the algorithm in the environment: verl's configuration of a policy loss takes no keys of others
(workers/config/actor.py:77).
"""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import agg_loss, register_adv_est, register_policy_loss
from verl.utils.torch_functional import masked_mean

from vcore_verl.config.algorithms import ADVANTAGES, TOKEN_LOSS, Declaration, find, registered
from vcore_verl.rl.algorithms import Algorithm, build
from vcore_verl.rl.command import ALGORITHM

MAX_LOG_RATIO = 20.0  # as verl's own losses bound it (trainer/ppo/core_algos.py:1333)


@cache
def chosen() -> Algorithm:
    """The algorithm of this run, with its settings."""
    algorithm = _environment()
    return build(algorithm["name"], algorithm["settings"], algorithm["file"] and Path(algorithm["file"]))


@cache
def declared() -> Declaration:
    """Its declaration."""
    algorithm = _environment()
    return find(algorithm["name"], algorithm["file"])


@cache
def install() -> None:
    """Register the hooks of the run's algorithm with verl, in this process."""
    name = registered(declared().name)
    if ADVANTAGES in declared().hooks:
        register_adv_est(name)(estimator(chosen()))
    if TOKEN_LOSS in declared().hooks:
        register_policy_loss(name)(policy_loss(chosen()))


def estimator(algorithm: Algorithm) -> Callable[..., tuple[Tensor, Tensor]]:
    """`algorithm.advantages` with the signature of verl's advantage estimators (trainer/ppo/ray_trainer.py:248-279)."""

    @torch.no_grad()
    def estimate(token_level_rewards: Tensor, response_mask: Tensor, index: Any, **_: Any) -> tuple[Tensor, Tensor]:
        advantage_B = algorithm.advantages(token_level_rewards.sum(-1), list(index))
        advantage_BL = advantage_B[:, None] * response_mask
        return advantage_BL, advantage_BL

    return estimate


def policy_loss(algorithm: Algorithm) -> Callable[..., tuple[Tensor, dict[str, Any]]]:
    """`algorithm.token_loss` with the signature of verl's policy losses (workers/utils/losses.py:99)."""

    def loss(
        old_log_prob: Tensor,
        log_prob: Tensor,
        advantages: Tensor,
        response_mask: Tensor,
        loss_agg_mode: str = "token-mean",
        config: Any = None,
        rollout_is_weights: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        log_ratio = (log_prob - old_log_prob).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
        token_loss = algorithm.token_loss(log_ratio, advantages)
        if rollout_is_weights is not None:
            token_loss = token_loss * rollout_is_weights
        total = agg_loss(token_loss, response_mask, loss_agg_mode, **config.global_batch_info)
        return total, {"actor/ppo_kl": masked_mean(-log_ratio.detach(), response_mask).item()}

    return loss


def _environment() -> dict[str, Any]:
    return json.loads(os.environ[ALGORITHM])
