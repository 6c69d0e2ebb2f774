"""Against softmax attention in float64, one sequence at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad as fwAD
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM

from vcore_verl.attention import NAME, kernels
from vcore_verl.attention.kernels import Sequences
from vcore_verl.attention.packed import PackedAttention, by_sdpa, packed_attention

WIDTH = 16
SCALE = WIDTH**-0.5
MIXED, LONG = [5, 1, 40, 1, 17], [4096]
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
# Lengths, query and key heads, window.
CASES = [(MIXED, (4, 4), None), (MIXED, (4, 2), None), (MIXED, (4, 2), 7), ([1], (4, 1), None), (LONG, (1, 1), None)]


def positions(lengths: list[int]) -> Tensor:
    return torch.cat([torch.arange(length) for length in lengths])[None]


def exact(query: Tensor, key: Tensor, value: Tensor, lengths: list[int], window: int | None) -> Tensor:
    outputs = []
    for q, k, v in zip(*(x.split(lengths) for x in (query, key, value)), strict=True):
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
        scores = torch.einsum("ihd,jhd->hij", q, k) * SCALE
        distance = torch.arange(len(q))[:, None] - torch.arange(len(q))
        hidden = (distance < 0) | (distance >= (window or len(q)))
        outputs.append(torch.einsum("hij,jhd->ihd", scores.masked_fill(hidden, -torch.inf).softmax(-1), v))
    return torch.cat(outputs)


def drawn(lengths: list[int], heads: tuple[int, int], dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    """Queries, keys and values, with scores as spread as a trained model's; and tangents of them."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(sum(lengths), count, WIDTH) for count in (*heads, heads[1])]
    values = [2 * torch.randn(shape, generator=generator) for shape in shapes]
    tangents = [torch.randn(shape, generator=generator) for shape in shapes]
    return [x.to(dtype) for x in values], [x.to(dtype) for x in tangents]


def error(found: Tensor, expected: Tensor, least: float = 0.0) -> float:
    """Relative to the norm of what was expected, or to `least` where that is larger."""
    found, expected = found.detach(), expected.detach()
    return float((found - expected).norm()) / max(float(expected.norm()), least)


@pytest.mark.parametrize("attend", [PackedAttention.apply, by_sdpa])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("lengths", "heads", "window"), CASES)
def test_output_gradients_and_derivative_are_those_of_softmax_attention(
    lengths: list[int], heads: tuple[int, int], window: int | None, dtype: torch.dtype, attend: Callable[..., Tensor]
):
    values, tangents = drawn(lengths, heads, dtype)
    doubles = [x.double().requires_grad_() for x in values]
    expected, expected_tangent = torch.func.jvp(
        lambda *inputs: exact(*inputs, lengths, window), tuple(doubles), tuple(x.double() for x in tangents)
    )
    gradient = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected_gradients = torch.autograd.grad(expected, doubles, gradient.double())

    settings = Sequences.of(positions(lengths), 1), SCALE, window
    leaves = [x.clone().requires_grad_() for x in values]
    output = attend(*leaves, *settings)
    gradients = torch.autograd.grad(output, leaves, gradient)
    with torch.no_grad(), fwAD.dual_level():
        duals = [fwAD.make_dual(x, t) for x, t in zip(values, tangents, strict=True)]
        primal, tangent = fwAD.unpack_dual(attend(*duals, *settings))

    assert output.dtype == tangent.dtype == dtype
    assert torch.equal(primal, output) or (attend is by_sdpa and error(primal, output) < TOLERANCES[dtype])
    assert error(output, expected) < TOLERANCES[dtype]
    assert error(tangent, expected_tangent) < TOLERANCES[dtype]
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        # Those of a single token by query and key are zero.
        assert error(found, wanted, least=float(gradient.norm())) < TOLERANCES[dtype]


def test_memory_is_linear_in_tokens():
    values, tangents = drawn(LONG, (4, 1), torch.float32)
    settings = Sequences.of(positions(LONG), 1), SCALE, None
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
            nonlocal largest
            result = operation(*arguments, **(keywords or {}))
            for tensor in torch.utils._pytree.tree_leaves(result):
                if isinstance(tensor, Tensor):
                    largest = max(largest, tensor.untyped_storage().nbytes())
            return result

    with torch.no_grad(), fwAD.dual_level(), Largest():
        duals = [fwAD.make_dual(x, t) for x, t in zip(values, tangents, strict=True)]
        PackedAttention.apply(*duals, *settings)
    (length,) = LONG
    assert largest <= 4 * length * 4 * 2 * WIDTH  # float32, heads, queries twice as wide; a head's scores: 64 MiB


# What the models have in common.
SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
MODELS = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8)),
}


def model(family: str = "qwen3") -> Any:
    torch.manual_seed(0)
    return MODELS[family]().eval()


@pytest.mark.parametrize("family", MODELS)
def test_a_model_sees_the_same_in_packed_padded_and_single_sequences(family: str):
    subject, ids = model(family), torch.randint(0, 50, (1, sum(MIXED)))
    padded = torch.nn.utils.rnn.pad_sequence([row[0] for row in ids.split(MIXED, dim=1)], batch_first=True)
    with torch.no_grad():
        subject.set_attn_implementation("eager")
        expected = torch.cat([subject(input_ids=row).logits[0] for row in ids.split(MIXED, dim=1)])
        subject.set_attn_implementation(NAME)
        single = torch.cat([subject(input_ids=row, use_cache=False).logits[0] for row in ids.split(MIXED, dim=1)])
        packed = subject(input_ids=ids, position_ids=positions(MIXED), use_cache=False).logits[0]
        rows = subject(input_ids=padded, use_cache=False).logits
    unpadded = torch.cat([row[:length] for row, length in zip(rows, MIXED, strict=True)])
    torch.testing.assert_close(single, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(packed, single, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(unpadded, single, rtol=1e-5, atol=1e-6)


def test_gradients_are_the_same_with_checkpointing_and_sequences_are_found_once(monkeypatch: pytest.MonkeyPatch):
    subject, ids = model(), torch.randint(0, 50, (1, sum(MIXED)))
    subject.set_attn_implementation(NAME)
    calls = []
    of = Sequences.of
    monkeypatch.setattr(Sequences, "of", lambda *arguments: calls.append(arguments) or of(*arguments))
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            subject.gradient_checkpointing_enable({"use_reentrant": False})
        subject.train()
        loss = subject(input_ids=ids, position_ids=positions(MIXED), use_cache=False).logits.square().mean()
        gradients.append(torch.autograd.grad(loss, list(subject.parameters())))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)
    assert len(calls) == 2  # one a forward: a synchronisation with the device each


def test_autocast_decides_the_dtype_as_it_does_for_torchs_own_attention():
    query = torch.randn(1, 2, 3, WIDTH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = packed_attention(torch.nn.Identity(), *3 * [query], None, SCALE, position_ids=positions([3]))
        expected = torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True)
    assert output.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(output, expected.transpose(1, 2), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("window", [None, 4])
def test_the_cuda_kernels_take_what_they_are_given(window: int | None):
    """On tensors without data, where no GPU is needed."""
    with FakeTensorMode(), torch.no_grad():
        query, key = (torch.empty(10, heads, 128, device="cuda", dtype=torch.bfloat16) for heads in (4, 2))
        sequences = Sequences(torch.tensor([0, 4, 10], dtype=torch.int32, device="cuda"), [0, 4, 10], 6)
        settings = sequences, SCALE, window
        assert kernels.missing(query) is None
        output, kept = kernels.forward(query, key, key, *settings)
        gradients = kernels.backward(query, query, key, key, output, kept, *settings)
        with fwAD.dual_level():
            dual = PackedAttention.apply(fwAD.make_dual(query, query), key, key, *settings)
            tangent = fwAD.unpack_dual(dual).tangent
    assert [x.shape for x in (output, tangent, *gradients)] == [query.shape] * 3 + [key.shape] * 2


def test_what_the_kernels_lack_is_named():
    positioned = {"position_ids": positions([3])}
    query = torch.ones(1, 1, 3, WIDTH)
    refused: dict[str, dict[str, Any]] = {
        "no dropout of attention: set attn_implementation=eager": positioned | {"dropout": 0.1},
        "no softcap of attention": positioned | {"softcap": 30.0},
        "no s_aux of attention": positioned | {"s_aux": torch.zeros(1)},
        "way of passing masks and positions": {},
        "rows that begin at position 0": {"position_ids": positions([3]) + 1},
    }
    for message, keywords in refused.items():
        with pytest.raises(ValueError, match=message):
            packed_attention(torch.nn.Identity(), query, query, query, None, SCALE, **keywords)


@pytest.mark.parametrize(
    ("width", "dtype", "reason"),
    [
        (64, torch.float32, "no kernel for float32"),
        (20, torch.bfloat16, "a multiple of 8 up to 256 numbers, not of 20"),
        (264, torch.bfloat16, "up to 256 numbers, not of 264"),
        (256, torch.bfloat16, None),
    ],
)
def test_what_the_kernels_of_a_gpu_do_not_take_is_named(width: int, dtype: torch.dtype, reason: str | None):
    with FakeTensorMode():
        found = kernels.missing(torch.empty(3, 1, width, device="cuda", dtype=dtype))
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize("window", [None, 7])
def test_what_no_kernel_takes_goes_through_sdpa_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, window: int | None
):
    reason = f"no kernel for these, window {window}"
    monkeypatch.setattr(kernels, "missing", lambda _: reason)
    values, _ = drawn(MIXED, (4, 2), torch.float32)
    heads_first = [x.transpose(0, 1)[None] for x in values]
    for _ in range(2):
        output, _ = packed_attention(
            torch.nn.Identity(), *heads_first, None, SCALE, position_ids=positions(MIXED), sliding_window=window
        )
    assert error(output[0], exact(*(x.double() for x in values), MIXED, window)) < 1e-5
    said = f"{reason}: attending by sdpa, which is slower"
    assert [record.message for record in caplog.records] == [said]


def test_heads_too_wide_for_forward_mode_are_refused():
    with FakeTensorMode(), torch.no_grad(), fwAD.dual_level():
        query = torch.empty(3, 1, 136, device="cuda", dtype=torch.bfloat16)
        sequences = Sequences(torch.tensor([0, 3], dtype=torch.int32, device="cuda"), [0, 3], 3)
        dual = fwAD.make_dual(query, query)
        with pytest.raises(ValueError, match="which takes 128 at most: set init"):
            PackedAttention.apply(dual, query, query, sequences, SCALE, None)
