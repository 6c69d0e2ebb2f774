"""Sums, means and softmax over packed sequences.

Legend for this package: T = supervised tokens of a micro-batch, sequence after sequence; S = its sequences;
`cu_seqlens_S1` = int64 offsets of shape (S + 1,): sequence i owns tokens [cu[i], cu[i + 1]). A sequence may be empty.
Reductions run in float64: their cost is negligible next to a forward pass, and weights must not depend on how a batch
was split.
"""

import torch
from torch import Tensor


def lengths(cu_seqlens_S1: Tensor) -> Tensor:
    """Number of tokens n_i of each sequence, int64 of shape (S,)."""
    return cu_seqlens_S1.diff()


def expand(values_S: Tensor, cu_seqlens_S1: Tensor) -> Tensor:
    """Repeat each sequence's value for all of its tokens: (S,) -> (T,)."""
    return values_S.repeat_interleave(lengths(cu_seqlens_S1))


def sequence_sum(values_T: Tensor, cu_seqlens_S1: Tensor) -> Tensor:
    """Sum over each sequence, float64 of shape (S,); 0 for an empty one."""
    owner_T = expand(torch.arange(len(cu_seqlens_S1) - 1, device=values_T.device), cu_seqlens_S1)
    total_S = torch.zeros(len(cu_seqlens_S1) - 1, dtype=torch.float64, device=values_T.device)
    return total_S.index_add(0, owner_T, values_T.double())


def sequence_mean(values_T: Tensor, cu_seqlens_S1: Tensor) -> Tensor:
    """Mean over each sequence, float64 of shape (S,); 0 for an empty one."""
    return sequence_sum(values_T, cu_seqlens_S1) / lengths(cu_seqlens_S1).clamp(min=1)


def sequence_variance(values_T: Tensor, cu_seqlens_S1: Tensor) -> Tensor:
    """Population variance over each sequence, float64 of shape (S,); 0 for an empty one."""
    centred_T = values_T.double() - expand(sequence_mean(values_T, cu_seqlens_S1), cu_seqlens_S1)
    return sequence_mean(centred_T.square(), cu_seqlens_S1)


def sequence_extreme(values_T: Tensor, cu_seqlens_S1: Tensor, largest: bool) -> Tensor:
    """Maximum (or minimum) over each sequence, float64 of shape (S,); 0 for an empty one."""
    owner_T = expand(torch.arange(len(cu_seqlens_S1) - 1, device=values_T.device), cu_seqlens_S1)
    start_S = torch.zeros(len(cu_seqlens_S1) - 1, dtype=torch.float64, device=values_T.device)
    return start_S.scatter_reduce(0, owner_T, values_T.double(), "amax" if largest else "amin", include_self=False)


def sequence_softmax(scores_T: Tensor, cu_seqlens_S1: Tensor) -> Tensor:
    """Softmax over each sequence, float64 of shape (T,)."""
    shifted_T = scores_T.double() - expand(sequence_extreme(scores_T, cu_seqlens_S1, largest=True), cu_seqlens_S1)
    exp_T = shifted_T.exp()
    return exp_T / expand(sequence_sum(exp_T, cu_seqlens_S1), cu_seqlens_S1)


def kl_from_uniform(q_T: Tensor, cu_seqlens_S1: Tensor) -> Tensor:
    """KL(q || u) in nats of each sequence, float64 of shape (S,). q sums to 1 over a sequence; u is uniform over its
    tokens.
    """
    n_T = expand(lengths(cu_seqlens_S1), cu_seqlens_S1)
    return sequence_sum(torch.special.xlogy(q_T.double(), q_T.double() * n_T), cu_seqlens_S1)
