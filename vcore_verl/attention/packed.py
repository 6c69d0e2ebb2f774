"""Attention over packed rows with transformers' signature; forward, backward and forward mode use the same kernels.

A packed row holds whole sequences back to back; `position_ids` restart at 0 in each. Importing this module registers
the function with transformers as `vcore_verl.attention.NAME`. No mask function is registered: transformers then builds
no mask (masking_utils.py:846 in 5.10.4), and none is needed. Rows may be padded on the right, where no position attends
to the padding, but not on the left.

Legend: B = rows; L = positions of a row; the rest as in `kernels`.
"""

import contextlib
import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface

from vcore_verl.attention import NAME, WIDEST, kernels
from vcore_verl.attention.kernels import Sequences

_sequences: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # position_ids -> Sequences


class PackedAttention(torch.autograd.Function):
    """Causal softmax(Q K' scale) V of every sequence, (T, H, D); differentiable once, in reverse or forward mode."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, *settings: Any) -> Tensor:
        """`settings`: sequences, scale, window, as `kernels.forward` takes them."""
        output, kept = kernels.forward(query, key, value, *settings)
        ctx.save_for_backward(query, key, value, output, *kept)
        ctx.save_for_forward(query, key, value)
        ctx.settings = settings
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        query, key, value, output, *kept = ctx.saved_tensors
        found = kernels.backward(gradients[0], query, key, value, output, tuple(kept), *ctx.settings)
        return *found, *(None for _ in ctx.settings)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """P dV + (P o (dS - <P, dS>)) V, with dS = dQ K' + Q dK' and <P, dS> the mean over each row.

        The second term is the query gradient of a backward pass. With queries [Q, 0], keys [K, V], values [K, dK] and
        output gradient [dQ, Q], that pass forms dS as the gradient of P, subtracts its mean and multiplies by the keys:
        the second half of the query gradient is the term.
        """
        query, key, value = ctx.saved_tensors
        d_query, d_key, d_value = tangents[:3]
        width = query.shape[-1]
        if query.is_cuda and 2 * width > WIDEST:
            raise ValueError(
                f"heads of {width} numbers are too wide for forward mode, which takes {WIDEST // 2} at most: "
                "set init.probe.derivative=central"
            )
        output, _ = kernels.forward(query, key, d_value, *ctx.settings)
        queries, keys, values = _beside(query, torch.zeros_like(query)), _beside(key, value), _beside(key, d_key)
        mean, kept = kernels.forward(queries, keys, values, *ctx.settings)
        gradient = kernels.backward(_beside(d_query, query), queries, keys, values, mean, kept, *ctx.settings)[0]
        return output + gradient.chunk(2, -1)[1]


def _beside(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second], -1)


def packed_attention(
    module: nn.Module,
    query_BHLD: Tensor,
    key_BKLD: Tensor,
    value_BKLD: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    position_ids: Tensor | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence; (B, L, H, D).

    `position_ids` has shape (B, L), or (1, L) if it is the same in all rows. Raises ValueError, with an alternative,
    for features that the kernels lack.
    """
    extra = {"dropout": dropout, "softcap": softcap, "s_aux": s_aux}
    asked = [name for name, value in extra.items() if value is not None and not (name == "dropout" and value == 0)]
    if asked or position_ids is None or position_ids.dim() != 2 or attention_mask is not None:
        what = f"{', '.join(asked)} of attention" if asked else "this model's way of passing masks and positions"
        raise ValueError(f"{NAME} has no {what}: set attn_implementation=eager in override_config")
    rows, _heads, length, _width = query_BHLD.shape
    query, key, value = (_packed(_autocast(x)) for x in (query_BHLD, key_BKLD, value_BKLD))
    attend: Callable[..., Tensor] = PackedAttention.apply
    if (reason := kernels.missing(query)) is not None:
        _say_once(f"{reason}: attending by sdpa, which is slower")
        attend = by_sdpa
    output_THD = attend(query, key, value, sequences_of(position_ids, rows), scaling, sliding_window)
    return output_THD.unflatten(0, (rows, length)), None


def by_sdpa(
    query_THD: Tensor, key_TKD: Tensor, value_TKD: Tensor, sequences: Sequences, scale: float, window: int | None
) -> Tensor:
    """The same with torch's public function, sequence by sequence, for inputs that the flash kernels do not support.

    Only its math backend has a forward-mode rule; it stores the scores of a sequence.
    """
    forward_mode = forward_ad.unpack_dual(query_THD).tangent is not None
    kernel = sdpa_kernel(SDPBackend.MATH) if forward_mode else contextlib.nullcontext()
    groups = query_THD.shape[1] // key_TKD.shape[1]  # repeated, since some kernels do not support enable_gqa
    outputs = []
    with kernel:
        for (begin, end), causal in kernels.each(sequences, window):
            query, key, value = (kernels.heads_first(x, begin, end) for x in (query_THD, key_TKD, value_TKD))
            key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
            arguments = causal.arguments(query)
            outputs.append(nn.functional.scaled_dot_product_attention(query, key, value, **arguments, scale=scale))
    return torch.cat([kernels.tokens_first(output) for output in outputs])


@functools.cache
def _say_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)


def sequences_of(position_ids: Tensor, rows: int) -> Sequences:
    """The sequences of a batch, found once for all layers and for their recomputation in the backward pass."""
    found = _sequences.get(position_ids)
    if found is None or found.offsets[-1] != rows * position_ids.shape[1]:
        found = _sequences[position_ids] = Sequences.of(position_ids, rows)
    return found


def _packed(tensor_BHLD: Tensor) -> Tensor:
    return tensor_BHLD.transpose(1, 2).flatten(0, 1)


def _autocast(tensor: Tensor) -> Tensor:
    """Cast as autocast does for torch's own attention; the kernels called here are not on its list."""
    device = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else tensor


AttentionInterface.register(NAME, packed_attention)
