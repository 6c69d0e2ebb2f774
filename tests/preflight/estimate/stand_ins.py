"""What allocates otherwise on a CPU than on CUDA, with the allocations of CUDA, and what depends on values, which fake
tensors do not have.

Legend: N = tokens; V = vocabulary.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM
from verl.workers.engine.fsdp import transformer_impl

from vcore_verl.attention import kernels, packed
from vcore_verl.sft.probe import passes


def flash_forward(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
    """As torch's `mha_varlen_fwd` (aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp): output and
    log-sum-exp.
    """
    heads_by_tokens = query.new_zeros(query.shape[1], query.shape[0], dtype=torch.float32)
    return torch.zeros_like(query), (heads_by_tokens, query.new_zeros(2), query.new_zeros(0))


def flash_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, kept: tuple[Tensor, ...], *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """As `mha_varlen_bwd`: the queries' gradient in float32 too, and those of keys and values for all query heads."""
    gradient = gradient.contiguous()
    found = tuple(torch.zeros_like(x) for x in (query, key, value))
    work = [torch.empty_like(query, dtype=torch.float32), torch.empty_like(kept[0])]
    work += [torch.empty_like(query) for _ in range(2) if query.shape != key.shape]
    return found  # type: ignore[return-value]


class Dropout(nn.Module):
    """Keeps a boolean mask, as nn.Dropout on CUDA; on the CPU it keeps one of the input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.native_dropout(x, 0.1, True)[0]


class Entropy(torch.autograd.Function):
    """verl's entropy as torch.compile fuses it: it keeps the logits, and makes one gradient of their size."""

    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor) -> Tensor:
        ctx.save_for_backward(logits_NV)
        return logits_NV.new_zeros(len(logits_NV), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return torch.zeros_like(ctx.saved_tensors[0])


@contextlib.contextmanager
def on_cuda(tokens: int) -> Iterator[None]:
    """Inside, this process computes attention with the allocations of CUDA's kernels, and one way of packing a row."""

    def whole_row(*_: Any) -> kernels.Sequences:
        return kernels.Sequences(torch.zeros(2, dtype=torch.int32), [0, tokens], tokens)

    with contextlib.ExitStack() as stack:
        for place, name, value in (
            (kernels, "forward", flash_forward),
            (kernels, "backward", flash_backward),
            (packed, "sequences_of", whole_row),
            # How a batch is divided, and put together again, depends on values.
            (passes, "prepare_micro_batches", lambda data, **_: ([data], None)),
            (passes, "postprocess_batch_func", lambda outputs, *_: outputs[0]),
            (Qwen3ForCausalLM, "forward", Qwen3ForCausalLM.forward),  # which verl's fused kernels replace
            (transformer_impl, "fsdp2_load_full_state_dict", lambda *_: None),
            (AutoModelForCausalLM, "from_pretrained", on_meta),
        ):
            stack.enter_context(mock.patch.object(place, name, value))
        stack.enter_context(contextlib.redirect_stdout(None))
        yield


def on_meta(config: Qwen3Config, **_: Any) -> Qwen3ForCausalLM:
    with torch.device("meta"):
        return Qwen3ForCausalLM(config)
