"""An untrained base model with the architecture of a published family, small enough for a CPU: `builtin:qwen3`,
`builtin:llama`, `builtin:mistral`.

The differences between the families are as published: grouped-query attention, Qwen3's head dimension independent of
the hidden size, its QK norm and tied embeddings, Llama 3.1's RoPE scaling, Mistral without a sliding window.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from vcore_verl.builtin.families import FAMILIES, build_tokenizer
from vcore_verl.config.schema import Base
from vcore_verl.data import templates

SAMPLES = Path(__file__).parent / "samples" / "nvidia" / "OpenMathReasoning"
VOCABULARY = 768
HEAD_DIM = 32  # the smallest that vLLM's attention on a CPU supports
PUBLISHED: dict[str, dict[str, Any]] = {
    "qwen3": {
        "tie_word_embeddings": True,
        "max_position_embeddings": 40960,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    },
    "llama": {
        "tie_word_embeddings": False,
        "max_position_embeddings": 131072,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 5e5,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "mistral": {
        "tie_word_embeddings": False,
        "max_position_embeddings": 32768,
        "sliding_window": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    },
}


def build(family: str, base: Base, dtype: str, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A model of "qwen3", "llama" or "mistral" in `dtype`, and a tokenizer trained on the sample conversations.

    The model's vocabulary is exactly the tokenizer's: vLLM masks entries beyond it and FSDP does not, so with a padded
    one the policies would differ.
    """
    tokenizer = build_tokenizer(family, sample_texts(), VOCABULARY)
    stops = tokenizer.convert_tokens_to_ids(list(FAMILIES[family].stops))
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        hidden_size=base.hidden_size,
        intermediate_size=base.intermediate_size,
        num_hidden_layers=base.layers,
        num_attention_heads=base.heads,
        num_key_value_heads=base.kv_heads,
        head_dim=HEAD_DIM,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=stops,
        pad_token_id=tokenizer.pad_token_id,
        **PUBLISHED[family],
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.generation_config = GenerationConfig(
        do_sample=True, bos_token_id=tokenizer.bos_token_id, eos_token_id=stops, pad_token_id=tokenizer.pad_token_id
    )
    return model, tokenizer


def sample_texts() -> Iterator[str]:
    """Prompts and traces of the sample rows in OpenMathReasoning's format."""
    for file in sorted(SAMPLES.rglob("*.jsonl")):
        for row in map(json.loads, file.read_text().splitlines()):
            yield templates.math(row["problem"])
            yield row["generated_solution"]
