"""Log-probabilities of labels from logits, in float32, block by block, with a custom backward pass.

Without flash-attn, verl loops over the rows in Python and keeps the float32 log-softmax of each
(verl/utils/torch_functional.py:197 in 0.9.1).

Legend: N = tokens; V = vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

NUMBERS_AT_A_TIME = 2**24  # float32 numbers in memory in addition to the logits


class LogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, labels_N: Tensor, in_place: bool) -> Tensor:
        logsumexp_N = torch.cat([rows.float().logsumexp(-1) for rows in _blocks(logits_NV)])
        ctx.save_for_backward(logits_NV, labels_N, logsumexp_N)
        ctx.in_place = in_place
        return logits_NV.gather(-1, labels_N.unsqueeze(-1)).squeeze(-1).float() - logsumexp_N

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """d log p_y / d logits = 1_y - p, block by block; overwrites the logits if `in_place`."""
        logits_NV, labels_N, logsumexp_N = ctx.saved_tensors
        gradient_NV = logits_NV if ctx.in_place else torch.empty_like(logits_NV)
        rest_N = zip(*(x.split(_rows(logits_NV)) for x in (labels_N, logsumexp_N, gradients[0])), strict=True)
        blocks = zip(_blocks(logits_NV), _blocks(gradient_NV), rest_N, strict=True)
        for logits, gradient, (labels, logsumexp, upstream) in blocks:
            found = (logits.float() - logsumexp.unsqueeze(-1)).exp_().mul_(-upstream.unsqueeze(-1))
            found.scatter_add_(-1, labels.unsqueeze(-1), upstream.unsqueeze(-1))
            gradient.copy_(found)
        return gradient_NV, None, None


def log_probs(logits: Tensor, labels: Tensor, inplace_backward: bool = True) -> Tensor:
    """log p of each label, float32, in the shape of `labels`; `logits` has one more dimension, of size V.

    With `inplace_backward` the gradient overwrites the logits, so nothing may read them after the backward pass, as
    with flash-attn's kernel. Signature of verl's `logprobs_from_logits` (utils/torch_functional.py:73).
    """
    flat_N = LogProbs.apply(logits.flatten(0, -2), labels.flatten(), inplace_backward)
    return flat_N.unflatten(0, labels.shape)


def _rows(logits_NV: Tensor) -> int:
    return max(1, NUMBERS_AT_A_TIME // logits_NV.shape[-1])


def _blocks(tensor_NV: Tensor) -> tuple[Tensor, ...]:
    return tensor_NV.split(_rows(tensor_NV))
