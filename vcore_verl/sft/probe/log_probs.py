"""Log-probabilities and entropies of a batch's tokens without holding all their logits at once.

With a vocabulary of 150,000, the float32 logits of one long sequence and their tangents would take more memory than the
model. A pass without backward can compute them one block of tokens at a time.

Legend: P = all tokens, packed into one row; H = hidden size; V = vocabulary.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from verl.utils.device import get_device_name

from vcore_verl.objectives.registry import TOP
from vcore_verl.sft.limits import LOGIT_BYTES, LOGITS_BYTES

Read = Callable[[Tensor, Tensor], Tensor]  # logits (P, V) and labels (P,) -> a number per token, (P,), float32


def of_labels(logits_PV: Tensor, labels_P: Tensor) -> Tensor:
    """log p of each label."""
    with torch.autocast(device_type=get_device_name(), enabled=False):
        return torch.log_softmax(logits_PV.float(), -1).gather(-1, labels_P.unsqueeze(-1)).squeeze(-1)


def top_entropy(logits_PV: Tensor, labels_P: Tensor) -> Tensor:
    """Entropy in nats of the `TOP` most probable tokens, renormalised; the labels do not enter."""
    with torch.autocast(device_type=get_device_name(), enabled=False):
        largest = logits_PV.topk(min(TOP, logits_PV.shape[-1]), -1).values.float()
        return torch.special.entr(largest.softmax(-1)).sum(-1)


def packed_values(engine: Any, micro_batch: TensorDict, read: Read) -> Tensor:
    """`read` of each token's logits and of the next token, packed (P,), by a forward of the engine's module.

    Raises RuntimeError if blocks are needed and the model's logits are not simply the result of its output layer.
    """
    inputs, _ = engine.prepare_model_inputs(micro_batch=micro_batch)
    labels_P = micro_batch["input_ids"].values().roll(-1)
    head = engine.module.get_output_embeddings()
    rows = max(1, LOGITS_BYTES // (LOGIT_BYTES * head.weight.shape[0]))

    if len(labels_P) <= rows:
        return read(engine.module(**inputs, use_cache=False).logits.squeeze(0), labels_P)
    found: list[Tensor] = []
    with _replaced(head) as (project, replace):

        def by_blocks(hidden_1PH: Tensor) -> Tensor:
            blocks = zip(hidden_1PH.squeeze(0).split(rows), labels_P.split(rows), strict=True)
            found.append(torch.cat([read(project(hidden), labels) for hidden, labels in blocks]))
            return hidden_1PH[..., :1]  # in place of the logits, which are not read

        replace(by_blocks)
        output = engine.module(**inputs, use_cache=False).logits
    if output.shape[-1] != 1 or len(found) != 1:
        raise RuntimeError("this model's logits are not its output layer's: lower sft.max_tokens_per_rank")
    return found[0]


@contextlib.contextmanager
def _replaced(module: nn.Module) -> Iterator[tuple[Callable[[Tensor], Tensor], Callable[[Any], None]]]:
    """Yield the module's forward, and a function that replaces it until the context ends."""
    try:
        yield module.forward, lambda forward: setattr(module, "forward", forward)
    finally:
        module.__dict__.pop("forward", None)
