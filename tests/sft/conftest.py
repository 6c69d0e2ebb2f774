"""A trained tiny model with data, and one laboratory run per number of ranks on which many tests make assertions."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests.sft.launch import torchrun
from vcore_verl.data import arithmetic, tokenizer

EXAMPLES = 48


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with `base` (a 0.1 M-parameter Qwen3 that has learned the format of the answers) and `sft.parquet`."""
    directory = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    tokens = tokenizer.build()
    config = Qwen3Config(
        vocab_size=len(tokens),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
        max_position_embeddings=512,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    rng = random.Random(0)
    problems = arithmetic.problems(arithmetic.IN_DOMAIN, "sft", rng)
    pairs = [
        (p.question, arithmetic.solve(p, arithmetic.SUPERVISED, rng).text)
        for _, p in zip(range(400), problems, strict=False)
    ]
    _train(model, tokens, pairs[EXAMPLES:])
    model.save_pretrained(directory / "base")
    tokens.save_pretrained(directory / "base")
    rows = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in pairs[:EXAMPLES]
    ]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), directory / "sft.parquet")
    return directory


def _train(model: Qwen3ForCausalLM, tokens: Any, pairs: list[tuple[str, str]]) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        batch = pairs[step * 16 % 320 :][:16]
        texts = [f"<|user|>{question}<|im_end|><|assistant|>{answer}<|im_end|>" for question, answer in batch]
        encoded = tokens(texts, padding=True, return_tensors="pt")
        labels = encoded.input_ids.masked_fill(encoded.attention_mask == 0, -100)
        model(input_ids=encoded.input_ids, attention_mask=encoded.attention_mask, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(scope="session")
def laboratory(start: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What `laboratory.py` measured on 1 and on 2 ranks."""
    results = {}
    for ranks in (1, 2):
        output = tmp_path_factory.mktemp(f"ranks{ranks}")
        torchrun(ranks, str(Path(__file__).with_name("laboratory.py")), str(start), str(output), log=output / "log")
        results[ranks] = torch.load(output / "results.pt", weights_only=False)
    return results
