import pytest
import torch
from torch.func import jvp
from transformers import Qwen3Config, Qwen3ForCausalLM

from vcore_verl.attention import blockwise
from vcore_verl.attention.blockwise import BlockwiseAttention, blockwise_attention


def model(**changes) -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    return Qwen3ForCausalLM(Qwen3Config(**sizes, **heads, attn_implementation="sdpa", **changes)).eval()


@pytest.mark.parametrize("block", [3, 512])
@pytest.mark.parametrize("window", [None, 4])
def test_equals_fused_attention_where_it_counts(monkeypatch: pytest.MonkeyPatch, block: int, window: int | None):
    monkeypatch.setattr(blockwise, "BLOCK", block)
    sliding = {"use_sliding_window": True, "sliding_window": window, "max_window_layers": 0} if window else {}
    subject = model(**sliding)
    ids = torch.randint(0, 50, (2, 10))
    padding = torch.ones(2, 10, dtype=torch.long)
    padding[1, 6:] = 0
    expected = subject(input_ids=ids, attention_mask=padding).logits
    with BlockwiseAttention(subject):
        found = subject(input_ids=ids, attention_mask=padding).logits
    torch.testing.assert_close(found[padding.bool()], expected[padding.bool()], rtol=1e-4, atol=1e-5)
    assert subject.config._attn_implementation == "sdpa"


def test_forward_mode_passes_through():
    q, k, v = (torch.randn(1, 2, 9, 4, dtype=torch.float64) for _ in range(3))
    tangent = torch.randn_like(q)

    def attend(query: torch.Tensor) -> torch.Tensor:
        return blockwise_attention(torch.nn.Identity(), query, k, v, None, 0.5)[0]

    _, found = jvp(attend, (q,), (tangent,))
    difference = (attend(q + 1e-4 * tangent) - attend(q - 1e-4 * tangent)) / 2e-4
    torch.testing.assert_close(found, difference, rtol=1e-3, atol=1e-3)


def test_attention_sinks_are_refused():
    x = torch.randn(1, 1, 2, 4)
    with pytest.raises(NotImplementedError, match="sinks"):
        blockwise_attention(torch.nn.Identity(), x, x, x, None, 1.0, s_aux=torch.zeros(1))
