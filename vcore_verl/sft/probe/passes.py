"""Passes over a batch in addition to the training pass: gradient, log-probabilities, directional derivatives.

All take a batch in verl's form and follow the engine's own micro-batches. `engine` is verl's FSDP engine (FSDP2) in
train mode; a direction maps parameter names to tensors placed like the parameters.
"""

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, cast

import torch
from tensordict import TensorDict
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from verl.utils import tensordict_utils as tu
from verl.utils.checkpoint.checkpoint_manager import BaseCheckpointManager
from verl.utils.device import get_device_id, get_device_name
from verl.workers.engine.utils import postprocess_batch_func, prepare_micro_batches
from verl.workers.utils.losses import sft_loss

from vcore_verl.sft.probe.forward_mode import (
    ForwardMode,
    NoLossOfTangents,
    tangent_of,
    without_checkpointing,
    without_rule,
)
from vcore_verl.sft.probe.log_probs import Read, of_labels, packed_values, top_entropy

Direction = dict[str, Tensor]
# verl's loss does not read its configuration (verl/workers/utils/losses.py:28).
uniform_loss: Any = partial(sft_loss, config=cast(Any, None))


def trainable(engine: Any) -> dict[str, Tensor]:
    """The sharded trainable parameters by name."""
    reshard(engine)
    return {name: parameter for name, parameter in engine.module.named_parameters() if parameter.requires_grad}


def reshard(engine: Any) -> None:
    """Free gathered parameters: FSDP2 keeps the root's after a forward, and would miss a change of the shards."""
    for module in engine.module.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def local(tensor: Tensor) -> Tensor:
    """This rank's shard, sharing memory with `tensor`."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@contextlib.contextmanager
def same_randomness() -> Iterator[None]:
    """Restore the random state on exit, so that the next pass draws the same dropout masks."""
    state = BaseCheckpointManager.get_rng_state()
    try:
        yield
    finally:
        BaseCheckpointManager.load_rng_state(state)


def gradient(engine: Any, data: TensorDict, loss: Any = uniform_loss) -> Direction:
    """Gradient of `loss` over `data`, averaged over all ranks' supervised tokens; clears gradients afterwards."""
    engine.optimizer_zero_grad()
    try:
        engine.forward_backward_batch(data, loss, forward_only=False)
        return {name: p.grad.detach() for name, p in trainable(engine).items() if p.grad is not None}
    finally:
        engine.optimizer_zero_grad()


@contextlib.contextmanager
def perturbed(engine: Any, direction: Direction, step: float) -> Iterator[None]:
    """Context with parameters moved by `step * direction`; restored bit for bit on exit, also after an exception."""
    with _restored(engine, direction) as parameters:
        for name, tensor in direction.items():
            parameters[name].add_(local(tensor), alpha=step)
        yield


@contextlib.contextmanager
def replaced(engine: Any, values: dict[str, Tensor]) -> Iterator[None]:
    """Context with other parameters; restored as by `perturbed`."""
    with _restored(engine, values) as parameters:
        for name, tensor in values.items():
            parameters[name].copy_(local(tensor))
        yield


@contextlib.contextmanager
def _restored(engine: Any, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """The local shards of the named parameters, which the context may change in place."""
    parameters = trainable(engine)
    shards = {name: local(parameters[name]).detach() for name in names}
    kept = {name: shard.clone() for name, shard in shards.items()}
    try:
        yield shards
    finally:
        reshard(engine)
        with torch.no_grad():
            for name, tensor in kept.items():
                shards[name].copy_(tensor)


def log_probs(engine: Any, data: TensorDict) -> Tensor:
    """log p of each next token from the engine's own forward, exactly as in training; nested (B, L), no gradient."""
    with torch.no_grad():
        output = engine.forward_backward_batch(data, loss_function=None, forward_only=True)
    return output["model_output"]["log_probs"]


def precise_log_probs(engine: Any, data: TensorDict) -> Tensor:
    """Like `log_probs`, but in float32 from the logits onward, for any model dtype; nested (B, L), float32."""
    return _each_micro_batch(engine, data, of_labels)


def top_entropies(engine: Any, data: TensorDict) -> Tensor:
    """Entropy in nats of the distribution of each next token over its `objectives.registry.TOP` most probable values,
    renormalised; nested (B, L), float32.
    """
    return _each_micro_batch(engine, data, top_entropy)


def directional_derivatives(engine: Any, data: TensorDict, direction: Direction) -> Tensor:
    """s_t = <direction, grad l_t> = -d/de log p(y_t; theta + e direction) of each next token; nested (B, L), float32.

    The forward is that of the training pass, on the same packed rows: from the same random state it draws the same
    dropout masks. Raises RuntimeError with the operation's name if the model uses one without a forward-mode rule.
    """
    reshard(engine)
    try:
        with without_checkpointing(engine.module), ForwardMode(engine.module, direction), NoLossOfTangents():
            return _each_micro_batch(engine, data, lambda *block: -tangent_of(of_labels(*block)))
    except NotImplementedError as error:
        operation = without_rule(error)
        if operation is None:
            raise
        raise RuntimeError(f"{operation} has no forward-mode derivative: set init.probe.derivative=central") from error


def _each_micro_batch(engine: Any, data: TensorDict, read: Read) -> Tensor:
    """`read` of the logits and labels of each micro-batch, without gradients; results are in the order of `data`."""
    tu.assign_non_tensor(data, sp_size=1)
    micro_batches, indices = prepare_micro_batches(
        data=data, dp_group=engine.get_data_parallel_group(), same_micro_num_in_dp=True
    )
    outputs = []
    for micro_batch in micro_batches:
        micro_batch = micro_batch.to(get_device_id())
        with torch.no_grad(), _autocast(engine):
            values_P = packed_values(engine, micro_batch, read).float()
        nested = torch.nested.nested_tensor_from_jagged(values_P, micro_batch["input_ids"].offsets())
        outputs.append({"model_output": {"values": nested}})
    return postprocess_batch_func(outputs, indices, data)["model_output"]["values"]


def _autocast(engine: Any) -> contextlib.AbstractContextManager:
    """As in the engine's forward_step (verl/workers/engine/fsdp/transformer_impl.py:1560)."""
    if engine._autocast_dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device_type=get_device_name(), dtype=engine._autocast_dtype)
