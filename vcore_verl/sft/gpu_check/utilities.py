"""Compares VCORE's utilities as training computes them, in bfloat16, with one float32 backward pass per token.

Legend: T = supervised tokens; N = those whose exact utility is computed.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from scipy.stats import spearmanr
from tensordict import TensorDict
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM
from verl.utils.device import get_device_id

from vcore_verl.config.init_schema import Probe
from vcore_verl.config.recipe import Recipe
from vcore_verl.sft.gpu_check import subject
from vcore_verl.sft.gpu_check.record import Check
from vcore_verl.sft.gpu_check.sizes import Sizes
from vcore_verl.sft.loss import Selection
from vcore_verl.sft.probe import direction as directions
from vcore_verl.sft.probe import passes
from vcore_verl.sft.worker import ObjectiveWorker

# Minimum Spearman correlation. On a CPU, eight layers of width 512 reach 0.9996 or more, 0.996 and 0.978.
LIMITS = {"jvp": 0.98, "central": 0.9, "forward": 0.7}


def checks(recipe: Recipe, sizes: Sizes, folder: Path) -> Iterator[Check]:
    """Correlation with the exact utilities, for each derivative. The model is saved in `folder`."""
    lora = replace(recipe.model.lora, dropout=0.0)  # the exact utilities have no dropout
    recipe = replace(recipe, model=replace(recipe.model, lora=lora))
    subject.save_model(sizes.utility_model, folder)
    worker = subject.worker(recipe, folder)
    training, probing = (
        subject.batch(sizes.utility_lengths, sizes.utility_model["vocab_size"], seed) for seed in (1, 2)
    )
    with worker.engine.train_mode():
        direction = directions.clipped(passes.gradient(worker.engine, probing), recipe.sft.clip_grad)
    exact_N, chosen_N = exact(worker, recipe, folder, training, direction, sizes.exact_tokens)
    for derivative, limit in LIMITS.items():
        found_T = utilities(worker, training, probing, derivative)
        correlation = float(spearmanr(found_T[chosen_N].cpu(), exact_N)[0])
        yield Check("utilities", f"{derivative}: Spearman correlation", correlation, limit, at_least=True)


def utilities(worker: ObjectiveWorker, training: TensorDict, probing: TensorDict, derivative: str) -> Tensor:
    """s of the batch `training` along the gradient of `probing`, as the loss of a training step reads it, (T,)."""
    data, engine = training.copy(), worker.engine
    worker.attach_probe(Probe(batch_size=len(probing), derivative=derivative), subject.always(probing))
    assert worker.probe is not None
    with engine.train_mode():
        worker.probe.measure(data, 1)
        log_prob_P = passes.log_probs(engine, data).values()
    data = data.to(get_device_id())
    utility_T = worker.loss_fn.tokens(log_prob_P, Selection.of(data), data).utility_T
    assert utility_T is not None
    return utility_T


def exact(
    worker: ObjectiveWorker, recipe: Recipe, folder: Path, training: TensorDict, direction: passes.Direction, count: int
) -> tuple[Tensor, Tensor]:
    """<direction, grad l_t> of `count` evenly spaced tokens, one backward pass each, and their indices among the T."""
    lora, device = recipe.model.lora, get_device_id()
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, config).to(device).eval()
    model.load_state_dict({name: _full(tensor) for name, tensor in worker.engine.module.state_dict().items()})
    rows = zip(_rows(training, "input_ids"), _rows(training, "loss_mask"), strict=True)
    losses_T = torch.cat([_losses(model, ids_L, mask_L) for ids_L, mask_L in rows])
    chosen_N = torch.linspace(0, len(losses_T) - 1, count, device=device).round().long()
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    along = [_full(direction[name]) for name in trained]
    utilities = []
    for loss in losses_T[chosen_N]:
        gradients = torch.autograd.grad(loss, list(trained.values()), retain_graph=True)
        utilities.append(sum(float((g * v).sum()) for g, v in zip(gradients, along, strict=True)))
    return torch.tensor(utilities), chosen_N


def _rows(data: TensorDict, key: str) -> list[Tensor]:
    return [row.to(get_device_id()) for row in data[key].unbind()]


def _losses(model: torch.nn.Module, ids_L: Tensor, mask_L: Tensor) -> Tensor:
    """-log p of the supervised tokens of one sequence, with gradient."""
    log_p_LV = model(input_ids=ids_L[None]).logits[0].log_softmax(-1)
    return -log_p_LV[:-1].gather(-1, ids_L[1:, None]).squeeze(-1)[mask_L[1:].bool()]


def _full(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
