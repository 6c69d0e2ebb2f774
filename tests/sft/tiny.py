"""A tiny Qwen3 that has begun to learn the built-in task, and supervised examples that it has not seen."""

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from vcore_verl.builtin import arithmetic, tokenizer
from vcore_verl.builtin.task import Trace, joined


def make_start(
    directory: Path, hidden_size: int = 64, layers: int = 2, steps: int = 60, examples: int = 48, lines: int = 1
) -> Path:
    """Write `base` and `sft.parquet` into `directory`; `lines` repeats each worked solution to make longer examples."""
    torch.manual_seed(0)
    tokens = tokenizer.build()
    config = Qwen3Config(
        vocab_size=len(tokens),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=hidden_size // 4,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    pairs = _pairs(examples + 16 * steps)
    _train(model, tokens, pairs[examples:], steps)
    model.save_pretrained(directory / "base")
    tokens.save_pretrained(directory / "base")
    traces = [(question, _repeated(trace, lines)) for question, trace in pairs[:examples]]
    rows = [
        {
            "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": trace.text}],
            "spans": [asdict(span) for span in trace.spans],
        }
        for question, trace in traces
    ]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), directory / "sft.parquet")
    return directory


def _pairs(count: int) -> list[tuple[str, Trace]]:
    rng = random.Random(0)
    problems = arithmetic.problems(arithmetic.IN_DOMAIN, "sft", rng)
    drawn = (next(problems) for _ in range(count))
    return [(problem.question, arithmetic.solve(problem, arithmetic.SUPERVISED, rng)) for problem in drawn]


def _repeated(trace: Trace, times: int) -> Trace:
    return joined([(trace.text[span.start : span.end], span.kind) for span in trace.spans] * times)


def _train(model: Qwen3ForCausalLM, tokens: Any, pairs: list[tuple[str, Trace]], steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        batch = pairs[16 * step :][:16]
        texts = [f"<|user|>{question}<|im_end|><|assistant|>{trace.text}<|im_end|>" for question, trace in batch]
        encoded = tokens(texts, padding=True, return_tensors="pt")
        labels = encoded.input_ids.masked_fill(encoded.attention_mask == 0, -100)
        model(input_ids=encoded.input_ids, attention_mask=encoded.attention_mask, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
