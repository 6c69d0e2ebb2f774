"""The base model of a built-in task: a small Qwen3, pretrained for a few minutes on problems that are in no later
split.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from vcore_verl.builtin import tokenizer
from vcore_verl.builtin.task import Task
from vcore_verl.config.schema import Base
from vcore_verl.data.rendering import Rendering, render
from vcore_verl.runs.metrics_file import MetricsFile

IGNORED = -100
PARTS = 4  # of a batch


def build_model(base: Base, tokens: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """An untrained float32 Qwen3 with tied embeddings; its vocabulary is exactly the tokenizer's.

    vLLM masks vocabulary entries beyond the tokenizer and FSDP does not, so a padded vocabulary would make the
    policies differ.
    """
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokens),
        hidden_size=base.hidden_size,
        intermediate_size=base.intermediate_size,
        num_hidden_layers=base.layers,
        num_attention_heads=base.heads,
        num_key_value_heads=base.kv_heads,
        head_dim=base.hidden_size // base.heads,
        max_position_embeddings=tokens.model_max_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config.eos_token_id = tokens.eos_token_id
    model.generation_config.pad_token_id = tokens.pad_token_id
    return model


def encode(question: str, response: str, tokens: PreTrainedTokenizerFast) -> Rendering:
    """Token ids of a whole conversation; its prompt is not supervised."""
    return render(tokens, [{"role": "user", "content": question}, {"role": "assistant", "content": response}])


def collate(examples: list[Rendering], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded `input_ids_BT` and `labels_BT` (int64); the labels ignore prompt and padding."""
    ids = [torch.tensor(example.input_ids) for example in examples]
    labels = [row.clone() for row in ids]
    for row, example in zip(labels, examples, strict=True):
        row[: example.prompt_length] = IGNORED
    return pad_sequence(ids, batch_first=True, padding_value=pad), pad_sequence(labels, True, IGNORED)


def set_gradient(model: Qwen3ForCausalLM, examples: list[Rendering], pad: int, splits: int = PARTS) -> float:
    """Set the gradient of the mean loss over all supervised tokens, and return that loss.

    The batch is split by length, since randomly composed parts would be one third padding. Each part has its own
    thread, and gradients are added in a fixed order. OpenMP's threads wait for each other after every operation; these
    only once, so they lose little on a busy machine.
    """
    supervised = sum(len(example.input_ids) - example.prompt_length for example in examples)
    parameters = list(model.parameters())
    ordered = sorted(examples, key=lambda example: len(example.input_ids), reverse=True)
    size = -(-len(ordered) // splits)

    def loss_and_gradients(start: int) -> tuple[float, tuple[torch.Tensor, ...]]:
        input_ids_BT, labels_BT = collate(ordered[start : start + size], pad)
        loss = model(input_ids=input_ids_BT, labels=labels_BT, use_cache=False, num_items_in_batch=supervised).loss
        return loss.item(), torch.autograd.grad(loss, parameters)

    with ThreadPoolExecutor(splits) as threads:
        losses, gradients = zip(*threads.map(loss_and_gradients, range(0, len(ordered), size)), strict=True)
    for parameter, *parts in zip(parameters, *gradients, strict=True):
        parameter.grad = torch.stack(parts).sum(0)
    return sum(losses)


def learning_rate(step: int, base: Base) -> float:
    """Linear warm-up over 5 % of the steps, then a cosine to a tenth of the peak."""
    warmup = max(1, round(0.05 * base.steps))
    if step < warmup:
        return base.learning_rate * (step + 1) / warmup
    phase = (step - warmup) / max(1, base.steps - warmup)
    return base.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * phase)))


def pretrain(task: Task, base: Base, seed: int, progress: Path) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Uniform next-token training on the task's pretraining problems; logs to `progress` every ten steps."""
    tokens = tokenizer.build(task.words)
    model = build_model(base, tokens, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=base.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    log = MetricsFile(progress, base.steps)
    for step, batch in enumerate(task.pretraining(base.steps, base.batch_size, Random(seed))):
        examples = [encode(problem.question, trace.text, tokens) for problem, trace in batch]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, base)
        loss = set_gradient(model, examples, pad=tokens.pad_token_id)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 9 or step + 1 == base.steps:
            log.log({"loss": loss}, step + 1)
    return model, tokens
