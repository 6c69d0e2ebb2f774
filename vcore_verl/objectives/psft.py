"""Proximal supervised fine-tuning (PSFT, arXiv 2508.17784): w_t = r_t if r_t <= 1 + clip_high, else 0.

r_t = p(y_t) / p_old(y_t), p_old a policy of some steps ago: a token is left alone once it has gained `clip_high`. It is
PPO's clipped objective with advantage 1. Source: zwhong714/PSFT, verl/verl/trainer/ppo/core_algos.py:785-810 and
ray_trainer.py:274-276, where p_old is taken every 8 steps (batch 64, mini-batch 8). The lower clip and the dual clip
never act at advantage 1.
"""

from typing import Annotated

from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting

LARGEST = 20.0  # of |log r|, as in the source


@register("psft", needs=("old",))
def weigh(
    tokens: Tokens,
    *,
    clip_high: Annotated[
        float, Setting("gain at which a token is left alone", above=0.0, source="released code")
    ] = 0.28,
    refresh: Annotated[int, Setting("steps from one old policy to the next", low=1, source="released code")] = 8,
) -> Weighting:
    """w_t in [0, 1 + clip_high]; `refresh` is for the trainer, which keeps the old policy."""
    ratio_T = (-tokens.loss_T - tokens.needed("old")).clamp(-LARGEST, LARGEST).exp()
    return Weighting(ratio_T * (ratio_T <= 1 + clip_high))
