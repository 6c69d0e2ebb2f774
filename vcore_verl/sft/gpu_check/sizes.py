"""Problem sizes of the check. Imports no torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sizes:
    """`recipe` provides the training settings; models are Qwen3 configurations of transformers.

    Attention: sequence lengths of a packed row, numbers of query and key heads, and a window. Utilities: model,
    sequence lengths of a batch, and the number of tokens with exact utilities. Cost: model, sequences per batch, and
    tokens of each batch.
    """

    recipe: str
    attention_lengths: tuple[int, ...]
    heads: tuple[int, int]
    window: int
    utility_model: dict[str, Any]
    utility_lengths: tuple[int, ...]
    exact_tokens: int
    cost_model: dict[str, Any]
    sequences: int
    cost_tokens: tuple[int, ...]


def _qwen3(vocab: int, hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int, head_dim: int) -> dict:
    return {
        "model_type": "qwen3",
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "tie_word_embeddings": True,
        "max_position_embeddings": 40960,
    }


_SMALL = _qwen3(1024, 64, 128, 2, 4, 2, 32)
SIZES = {
    "cuda": Sizes(
        recipe="qwen3_0_6b",
        attention_lengths=(2000, 37, 1, 700),
        heads=(8, 2),
        window=256,
        utility_model=_qwen3(8192, 1024, 3072, 8, 16, 8, 128),
        utility_lengths=(700, 300),
        exact_tokens=96,
        cost_model=_qwen3(151936, 1024, 3072, 28, 16, 8, 128),  # Qwen/Qwen3-0.6B
        sequences=8,
        cost_tokens=(4096, 8192, 16384),
    ),
    "cpu": Sizes(
        recipe="qwen3_0_6b-smoke",
        attention_lengths=(60, 5, 1, 30),
        heads=(4, 2),
        window=16,
        utility_model=_SMALL,
        utility_lengths=(60, 40),
        exact_tokens=24,
        cost_model=_SMALL,
        sequences=8,
        cost_tokens=(256,),
    ),
}
