"""CHORD's token weight (arXiv 2508.11408): w_t = p(y_t) (1 - p(y_t)).

Source: modelscope/Trinity-RFT, trinity/algorithm/policy_loss_fn/chord_policy_loss.py, `phi_function`. There it weights
the supervised part of a mixed SFT and RL loss; as an objective for SFT alone it is our reading.
"""

import torch

from vcore_verl.objectives.registry import Tokens, Weighting, register


@register("chord_phi")
def weigh(tokens: Tokens) -> Weighting:
    """w_t = p (1 - p), in [0, 1/4]: largest for tokens that the model neither knows nor rules out."""
    p_T = torch.exp(-tokens.loss_T)
    return Weighting(p_T * (1 - p_T))
