"""Uniform supervised fine-tuning: w_t = 1."""

import torch

from vcore_verl.objectives.registry import Tokens, Weighting, register


@register("sft", colour="#0072B2", marker="s", compared=True)
def weigh(tokens: Tokens) -> Weighting:
    """w_t = 1."""
    return Weighting(torch.ones_like(tokens.loss_T))
