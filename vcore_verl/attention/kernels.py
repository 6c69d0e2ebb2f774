"""Causal attention over packed sequences with torch's flash kernels: all sequences at once on CUDA, one by one on CPU.

The kernels store no scores, so memory is linear in tokens. They have no forward-mode rule; dropout is off. Both are
private operators of torch, with the same leading arguments in 2.11 and 2.13 (torch/nn/attention/varlen.py calls them).

Legend: T = tokens of all sequences; H = query heads; K = key heads, a divisor of H; D = head dimension; S = sequences.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vcore_verl.attention import WIDEST

HALF_PRECISION = (torch.bfloat16, torch.float16)
WIDTH_STEP = 8  # head dimensions must be a multiple of it on CUDA
_aten = torch.ops.aten


@dataclass(frozen=True)
class Sequences:
    """Boundaries of the sequences within the T tokens: `cu_seqlens_S1` (int32) on the tokens' device, `offsets` the
    same on the host; `longest` is the largest length in tokens.
    """

    cu_seqlens_S1: Tensor
    offsets: list[int]
    longest: int

    @classmethod
    def of(cls, position_ids: Tensor, rows: int) -> "Sequences":
        """Find the sequences in `rows` rows; each begins at a position 0. `position_ids` has shape (rows, L) or (1, L).

        Synchronises with the device once. Raises ValueError for rows that do not begin at position 0.
        """
        begins = (position_ids == 0).expand(rows, -1)
        on_host = begins.cpu()
        if not bool(on_host[:, 0].all()):
            raise ValueError("packed attention needs rows that begin at position 0: no cache, no part of a sequence")
        offsets_S1 = torch.cat([on_host.flatten().nonzero().flatten(), torch.tensor([on_host.numel()])])
        longest = int(offsets_S1.diff().max())
        return cls(offsets_S1.to(device=position_ids.device, dtype=torch.int32), offsets_S1.tolist(), longest)


def missing(query_THD: Tensor) -> str | None:
    """Why the kernels do not support these queries; None if they do."""
    width, dtype = query_THD.shape[-1], query_THD.dtype
    if not query_THD.is_cuda:
        return None
    if dtype not in HALF_PRECISION:
        return f"flash attention on a GPU has no kernel for {str(dtype).removeprefix('torch.')}"
    if width % WIDTH_STEP or width > WIDEST:
        return f"flash attention takes heads of a multiple of {WIDTH_STEP} up to {WIDEST} numbers, not of {width}"
    return None


def forward(
    query_THD: Tensor, key_TKD: Tensor, value_TKD: Tensor, sequences: Sequences, scale: float, window: int | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output (T, H, D), and `kept` for `backward`. A query attends to the last `window` positions, or to all."""
    if query_THD.is_cuda:
        cu_seqlens, longest = sequences.cu_seqlens_S1, sequences.longest
        output, logsumexp, random_state, unused, _ = _aten._flash_attention_forward(
            *(query_THD, key_TKD, value_TKD, cu_seqlens, cu_seqlens, longest, longest, 0.0, True, False),
            scale=scale,
            **_window_on_cuda(window),
        )
        return output, (logsumexp, random_state, unused)
    outputs, logsumexps = [], []
    for (begin, end), causal in each(sequences, window):
        output_1HLD, logsumexp = _aten._scaled_dot_product_flash_attention_for_cpu(
            *(heads_first(x, begin, end) for x in (query_THD, key_TKD, value_TKD)),
            **causal.arguments(query_THD),
            scale=scale,
        )
        outputs.append(tokens_first(output_1HLD))
        logsumexps.append(logsumexp)
    return torch.cat(outputs), tuple(logsumexps)


def backward(
    gradient_THD: Tensor,
    query_THD: Tensor,
    key_TKD: Tensor,
    value_TKD: Tensor,
    output_THD: Tensor,
    kept: tuple[Tensor, ...],
    sequences: Sequences,
    scale: float,
    window: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values; `kept` comes from `forward`."""
    if query_THD.is_cuda:
        logsumexp, random_state, unused = kept
        cu_seqlens, longest = sequences.cu_seqlens_S1, sequences.longest
        return _aten._flash_attention_backward(
            *(gradient_THD.contiguous(), query_THD, key_TKD, value_TKD, output_THD, logsumexp),
            *(cu_seqlens, cu_seqlens, longest, longest, 0.0, True, random_state, unused),
            scale=scale,
            **_window_on_cuda(window),
        )
    parts: list[list[Tensor]] = []
    for ((begin, end), causal), logsumexp in zip(each(sequences, window), kept, strict=True):
        gradients = _aten._scaled_dot_product_flash_attention_for_cpu_backward(
            *(heads_first(x, begin, end) for x in (gradient_THD, query_THD, key_TKD, value_TKD, output_THD)),
            logsumexp,
            **causal.arguments(query_THD),
            scale=scale,
        )
        parts.append([tokens_first(gradient) for gradient in gradients])
    query, key, value = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return query, key, value


def _window_on_cuda(window: int | None) -> dict[str, int]:
    return {} if window is None else {"window_size_left": window - 1, "window_size_right": 0}


@dataclass(frozen=True)
class Causal:
    """Causal mask of one sequence, for kernels that have no window argument and need an explicit mask for it."""

    length: int
    window: int | None

    def arguments(self, query: Tensor) -> dict[str, Any]:
        if self.window is None or self.length <= self.window:
            return {"dropout_p": 0.0, "is_causal": True, "attn_mask": None}
        position_L = torch.arange(self.length, device=query.device)
        distance_LL = position_L[:, None] - position_L
        hidden_LL = (distance_LL < 0) | (distance_LL >= self.window)
        mask_LL = query.new_zeros(hidden_LL.shape).masked_fill(hidden_LL, -torch.inf)
        return {"dropout_p": 0.0, "is_causal": False, "attn_mask": mask_LL}


def each(sequences: Sequences, window: int | None) -> Iterator[tuple[tuple[int, int], Causal]]:
    """Begin and end of every sequence, and its causal mask."""
    for begin, end in pairwise(sequences.offsets):
        yield (begin, end), Causal(end - begin, window)


def heads_first(tensor_THD: Tensor, begin: int, end: int) -> Tensor:
    """Tokens `begin` to `end`, one sequence, as (1, H, L, D)."""
    return tensor_THD[begin:end].transpose(0, 1).unsqueeze(0)


def tokens_first(tensor_1HLD: Tensor) -> Tensor:
    """The same sequence as (L, H, D)."""
    return tensor_1HLD.squeeze(0).transpose(0, 1)
