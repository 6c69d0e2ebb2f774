"""Weights at a given distance from uniform by any score: `vcore` with another score in place of its utility."""

from torch import Tensor

from vcore_verl.objectives.packed import expand
from vcore_verl.objectives.registry import Tokens, Weighting
from vcore_verl.objectives.vcore import gibbs_weights, variance_scale


def at_budget(score_T: Tensor, tokens: Tokens, kl_budget: float) -> Weighting:
    """w_it = alpha_i n_i q_it, q the softmax of the score at the temperature where KL(q || uniform) = `kl_budget` nats
    in each sequence; alpha by the rule `loss_ratio`, the default of `vcore`.
    """
    cu_seqlens_S1 = tokens.cu_seqlens_S1
    gibbs_T = gibbs_weights(score_T, cu_seqlens_S1, kl_budget=kl_budget)
    alpha_S = variance_scale(tokens.loss_T, gibbs_T, score_T, cu_seqlens_S1, rule="loss_ratio")
    return Weighting(expand(alpha_S, cu_seqlens_S1) * gibbs_T, alpha_S)
