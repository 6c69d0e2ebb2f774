"""The mathematics of an SFT step in plain float64 on one process: one backward pass per token, no verl.

Written from the definitions (design and paper), independently of `vcore_verl.objectives`.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from vcore_verl.sft.dataset import SupervisedDataset

BATCH = range(8)


@dataclass
class Example:
    """losses: (n,). gradients: (n, parameters), one row per supervised token."""

    losses: np.ndarray
    gradients: np.ndarray


def load(start: Path, state: dict[str, torch.Tensor] | None = None, lora: bool = False) -> Any:
    """The model in float64; `state` replaces its parameters."""
    model = AutoModelForCausalLM.from_pretrained(start / "base", dtype=torch.float64, attn_implementation="eager")
    if lora:
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    if state is not None:
        model.load_state_dict({name: tensor.double() for name, tensor in state.items()}, strict=True)
    return model.double().eval()


def examples(start: Path, model: Any, indices: Any, gradients: bool = True) -> list[Example]:
    """Token losses of training examples, and the gradient of each by a backward pass of its own."""
    tokenizer = AutoTokenizer.from_pretrained(start / "base")
    data = SupervisedDataset(str(start / "sft.parquet"), tokenizer, {"max_length": 512})
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = []
    for index in indices:
        losses = token_losses(model, data[index])
        rows = []
        for loss in losses if gradients else []:
            grads = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            flat = [torch.zeros_like(p) if g is None else g for g, p in zip(grads, parameters, strict=True)]
            rows.append(torch.cat([g.flatten() for g in flat]).numpy())
        found.append(Example(losses.detach().numpy(), np.stack(rows) if rows else np.empty(0)))
    return found


def token_losses(model: Any, item: dict[str, torch.Tensor]) -> torch.Tensor:
    """-log p of an example's supervised tokens, (n,), with gradient."""
    log_p = torch.log_softmax(model(input_ids=item["input_ids"][None]).logits[0], -1)
    return -log_p[:-1].gather(-1, item["input_ids"][1:, None]).squeeze(-1)[item["loss_mask"][1:].bool()]


def top_entropies(start: Path, model: Any, indices: Any) -> list[np.ndarray]:
    """Entropy of the 20 most probable tokens, renormalised, at an example's supervised tokens, (n,)."""
    data = SupervisedDataset(str(start / "sft.parquet"), AutoTokenizer.from_pretrained(start / "base"), {})
    found = []
    for item in (data[index] for index in indices):
        with torch.no_grad():
            p = torch.softmax(model(input_ids=item["input_ids"][None]).logits[0], -1)
        top = p[:-1][item["loss_mask"][1:].bool()].sort(descending=True).values[:, :20].numpy()
        top /= top.sum(-1, keepdims=True)
        found.append(-np.sum(top * np.log(top), -1))
    return found


def flatten(model: Any, tensors: dict[str, torch.Tensor]) -> np.ndarray:
    """Named tensors in the order of the model's trainable parameters."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    return torch.cat([tensors[name].double().flatten() for name in names]).numpy()


def probe_gradient(batch: list[Example]) -> np.ndarray:
    """Mean gradient over all tokens, clipped to norm 1."""
    total = np.concatenate([e.gradients for e in batch]).mean(0)
    return total * min(1.0, 1.0 / np.linalg.norm(total))


def gibbs(utility: np.ndarray, temperature: float) -> np.ndarray:
    """n q for one sequence."""
    exp = np.exp((utility - utility.max()) / temperature)
    return len(utility) * exp / exp.sum()


def gibbs_at(utility: np.ndarray, budget: float) -> np.ndarray:
    """n q with KL(q || u) = budget, by bisection over the temperature itself."""
    low, high = 1e-9, 1e9
    for _ in range(300):
        middle = math.sqrt(low * high)
        weights = gibbs(utility, middle)
        kl = np.mean(np.where(weights > 0, weights * np.log(np.maximum(weights, 1e-300)), 0.0))
        low, high = (middle, high) if kl > budget else (low, middle)
    return gibbs(utility, high)


def step(batch: list[Example], weights: list[np.ndarray]) -> tuple[float, np.ndarray]:
    """sum_i sum_t w l / N and its gradient with w detached."""
    count = sum(len(e.losses) for e in batch)
    loss = sum(float(w @ e.losses) for w, e in zip(weights, batch, strict=True)) / count
    return loss, sum(w @ e.gradients for w, e in zip(weights, batch, strict=True)) / count
