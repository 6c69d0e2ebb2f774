"""Compares attention as models call it with float64 softmax attention, one sequence at a time.

Legend as in `vcore_verl.attention.kernels`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from vcore_verl.attention.packed import packed_attention
from vcore_verl.sft.gpu_check.record import Check
from vcore_verl.sft.gpu_check.sizes import Sizes

CASES = ((64, False), (128, False), (128, True))  # head dimension, and whether attention has a sliding window
# Relative to the norm of the float64 result. bfloat16 has eight significant bits: 0.2 to 0.4 % by rounding alone.
OUTPUT, DERIVATIVES = 0.01, 0.02
SPREAD = 2.0  # standard deviation of queries and keys; scores then vary as much as a trained model's


def checks(sizes: Sizes, device: str) -> Iterator[Check]:
    """Errors of output, gradients and forward-mode derivative in bfloat16."""
    for width, windowed in CASES:
        window = sizes.window if windowed else None
        name = f"heads of {width}" + (f", window of {window}" if window else "")
        for what, found in errors(sizes, device, width, window).items():
            yield Check("attention", f"{name}: {what}", found, OUTPUT if what == "output" else DERIVATIVES)


def errors(sizes: Sizes, device: str, width: int, window: int | None) -> dict[str, float]:
    """Relative error of each result."""
    lengths, (heads, key_heads), scale = sizes.attention_lengths, sizes.heads, width**-0.5
    generator = torch.Generator(device).manual_seed(0)

    def drawn(heads: int, spread: float) -> Tensor:
        values = torch.randn(sum(lengths), heads, width, generator=generator, device=device)
        return (spread * values).bfloat16()

    inputs = [drawn(heads, SPREAD), drawn(key_heads, SPREAD), drawn(key_heads, 1.0)]
    tangents = [drawn(heads, 1.0), drawn(key_heads, 1.0), drawn(key_heads, 1.0)]
    upstream = drawn(heads, 1.0)
    position_ids = torch.cat([torch.arange(length, device=device) for length in lengths])[None]

    def packed(*inputs: Tensor) -> Tensor:
        query, key, value = (x.transpose(0, 1)[None] for x in inputs)
        output_1THD, _ = packed_attention(
            nn.Identity(), query, key, value, None, scale, position_ids=position_ids, sliding_window=window
        )
        return output_1THD[0]

    doubles = [x.double().requires_grad_() for x in inputs]
    both = torch.func.jvp(
        lambda *inputs: exact(inputs, lengths, scale, window), tuple(doubles), tuple(x.double() for x in tangents)
    )
    expected, expected_tangent = both[0], both[1]
    expected_gradients = torch.autograd.grad(expected, doubles, upstream.double())
    leaves = [x.clone().requires_grad_() for x in inputs]
    output = packed(*leaves)
    gradients = torch.autograd.grad(output, leaves, upstream)
    with torch.no_grad(), forward_ad.dual_level():
        duals = [forward_ad.make_dual(x, tangent) for x, tangent in zip(inputs, tangents, strict=True)]
        tangent = forward_ad.unpack_dual(packed(*duals)).tangent
    assert tangent is not None
    return {
        "output": error(output, expected),
        **{
            f"gradient of {name}": error(found, wanted)
            for name, found, wanted in zip(("queries", "keys", "values"), gradients, expected_gradients, strict=True)
        },
        "forward mode": error(tangent, expected_tangent),
    }


def exact(inputs: tuple[Tensor, ...], lengths: tuple[int, ...], scale: float, window: int | None) -> Tensor:
    """Causal softmax(Q K' scale) V of every sequence, (T, H, D), straight from the definition."""
    outputs = []
    for query, key, value in zip(*(x.split(list(lengths)) for x in inputs), strict=True):
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], dim=1) for x in (key, value))
        position = torch.arange(len(query), device=query.device)
        distance = position[:, None] - position
        hidden = (distance < 0) | (distance >= (window or len(query)))
        scores = torch.einsum("ihd,jhd->hij", query, key) * scale
        outputs.append(torch.einsum("hij,jhd->ihd", scores.masked_fill(hidden, -torch.inf).softmax(-1), value))
    return torch.cat(outputs)


def error(found: Tensor, expected: Tensor) -> float:
    """Euclidean norm of the difference relative to that of `expected`."""
    return float((found.detach().double() - expected.detach()).norm() / expected.detach().norm())
