"""Causal attention from plain operations, so that forward-mode differentiation passes through it.

Fused attention kernels have no forward-mode rule. This one goes through the queries block by block: without gradients
nothing is kept, and its memory grows with block x length instead of length squared.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

NAME = "vcore_blockwise"
BLOCK = 512  # queries at a time


def blockwise_attention(
    module: nn.Module,
    query_BHLD: Tensor,
    key_BKLD: Tensor,
    value_BKLD: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of each position to itself and those before it, in the signature of transformers; (B, L, H, D).

    B = rows, H = query heads, K = key heads, L = positions, D = width of a head. Rows are padded on the right only: a
    position then never sees padding, and no mask is needed. Raises NotImplementedError for attention sinks.
    """
    if s_aux is not None:
        raise NotImplementedError("no attention sinks in forward mode: set init.probe.derivative=central")
    groups = query_BHLD.shape[1] // key_BKLD.shape[1]
    key_BHLD, value_BHLD = (x.repeat_interleave(groups, dim=1) for x in (key_BKLD, value_BKLD))
    position_L = torch.arange(query_BHLD.shape[2], device=query_BHLD.device)
    outputs = []
    for begin in range(0, len(position_L), BLOCK):
        end = min(begin + BLOCK, len(position_L))
        first = 0 if sliding_window is None else max(begin - sliding_window + 1, 0)
        scores = query_BHLD[:, :, begin:end] @ key_BHLD[:, :, first:end].transpose(2, 3) * scaling
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        distance = position_L[begin:end, None] - position_L[None, first:end]
        hidden = distance < 0 if sliding_window is None else (distance < 0) | (distance >= sliding_window)
        weights = torch.softmax(scores.float().masked_fill(hidden, -torch.inf), -1).to(query_BHLD.dtype)
        weights = nn.functional.dropout(weights, dropout, training=module.training)
        outputs.append(weights @ value_BHLD[:, :, first:end])
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def _no_mask(*_: Any, **__: Any) -> None:
    return None


AttentionInterface.register(NAME, blockwise_attention)
AttentionMaskInterface.register(NAME, _no_mask)


class BlockwiseAttention:
    """Context: `model` attends with `blockwise_attention`. Transformers reads the choice in every forward."""

    def __init__(self, model: nn.Module):
        configs: dict[int, Any] = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}
        self.chosen = [(c, c._attn_implementation) for c in configs.values() if hasattr(c, "_attn_implementation")]

    def __enter__(self) -> None:
        for config, _ in self.chosen:
            config._attn_implementation = NAME

    def __exit__(self, *exception: object) -> None:
        for config, chosen in self.chosen:
            config._attn_implementation = chosen
