"""Run under torchrun by `test_forward_mode`: the derivative pass on verl's real engine, with checkpointing as on a GPU.

torchrun derivative_pass.py START OUTPUT
"""

import contextlib
from collections.abc import Callable
from typing import Any

import laboratory  # beside this script
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint
from transformers import modeling_utils
from transformers.modeling_layers import GradientCheckpointingLayer
from verl.utils import distributed

from vcore_verl.config.overrides import merge
from vcore_verl.sft.probe import forward_mode, passes
from vcore_verl.sft.trainer import ObjectiveTrainer

MODELS = {"full": {}, "lora": laboratory.LORA}
checkpointed_layers: list[Callable] = []  # one entry per call


class SavesInputs(torch.autograd.Function):
    """Without a jvp, like `_NoopSaveInputs` of torch 2.11.0 (torch/utils/checkpoint.py:794-829)."""

    @staticmethod
    def forward(*_: Any) -> Tensor:
        return torch.empty(0)

    @staticmethod
    def setup_context(*_: Any) -> None:
        pass


def checkpoint_of_torch_2_11(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """The installed one, after what torch 2.11.0 does with a layer's inputs before it looks whether gradients are on
    (torch/utils/checkpoint.py:1615-1621).
    """
    checkpointed_layers.append(function)
    SavesInputs.apply(torch.empty(0, requires_grad=True), {}, *args)
    return checkpoint(function, *args, **kwargs)


def trainer(on: bool, **changes: Any) -> ObjectiveTrainer:
    changes = merge(changes, {"model": {"enable_gradient_checkpointing": on}})
    return laboratory.trainer(laboratory.VCORE, **changes)


def switches(subject: ObjectiveTrainer) -> list[bool]:
    """Of all layers, whether they checkpoint when they train."""
    modules = subject.engine.module.modules()
    return [module.gradient_checkpointing for module in modules if isinstance(module, GradientCheckpointingLayer)]


def checkpointing() -> dict[str, Any]:
    """Utilities with the switch off and on, calls of the checkpoint function in the gradient's pass and in the
    derivative's, and the layers' switches after it.
    """
    found: dict[str, Any] = {}
    for model, changes in MODELS.items():
        for on in (False, True):
            subject = trainer(on, **changes)
            checkpointed_layers.clear()
            with subject.engine.train_mode():
                data = laboratory.with_tokens(laboratory.mine(subject))
                direction = passes.gradient(subject.engine, data)
                in_gradient = len(checkpointed_layers)
                nested = passes.directional_derivatives(subject.engine, laboratory.mine(subject), direction)
            calls = in_gradient, len(checkpointed_layers) - in_gradient
            found[f"{model}-{on}"] = nested.values(), calls, switches(subject)
    return found


def gathered() -> dict[str, tuple[Tensor, float]]:
    """Utilities of four micro-batches, and how often each tangent was gathered, with tangents that count as large and
    as small.
    """
    found: dict[str, tuple[Tensor, float]] = {}
    full_tensor, small = DTensor.full_tensor, forward_mode.SMALL
    for name, limit in (("large", 0), ("small", small)):
        subject = trainer(on=True, **laboratory.LORA)
        engine, calls = subject.engine, []
        with engine.train_mode():
            direction = passes.gradient(engine, laboratory.with_tokens(laboratory.mine(subject)))
            data = laboratory.mine(subject, use_dynamic_bsz=False, micro_batch_size_per_gpu=1)
            forward_mode.SMALL = limit
            DTensor.full_tensor = lambda tensor, calls=calls: calls.append(tensor) or full_tensor(tensor)
            nested = passes.directional_derivatives(engine, data, direction)
            DTensor.full_tensor, forward_mode.SMALL = full_tensor, small
        found[name] = nested.values(), len(calls) / len(direction)
    return found


def interrupted() -> list[bool]:
    """The layers' switches after an exception in the middle of the derivative pass."""
    subject = trainer(on=True)
    direction = laboratory.full_direction(subject.engine)
    subject.engine.module.get_submodule("model.norm").register_forward_hook(laboratory._fail)
    with subject.engine.train_mode(), contextlib.suppress(InterruptedError):
        passes.directional_derivatives(subject.engine, laboratory.mine(subject), direction)
        raise AssertionError("the pass was not interrupted")
    return switches(subject)


class Doubled(torch.autograd.Function):
    """An autograd function of a model's own, without a jvp."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return 2 * gradients[0]


@torch.library.custom_op("library::thrice", mutates_args=())
def thrice(x: Tensor) -> Tensor:
    return 3 * x


@torch.library.custom_op("library::halve", mutates_args=("output",))
def halve(output: Tensor, x: Tensor) -> None:
    output.copy_(x / 2)


def halved(x: Tensor) -> Tensor:
    output = torch.empty_like(x)
    halve(output, x)
    return output


def unfinished(_: Tensor) -> Tensor:
    raise NotImplementedError("not for this shape")


# Each is put behind the last layer.
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "function": Doubled.apply,
    "operation": lambda x: torch.special.zeta(x, x),
    # Beside a path that carries the derivative on.
    "custom": lambda x: x + thrice(x),
    "written": lambda x: x + halved(x),
    "unfinished": unfinished,
}


def refused() -> dict[str, Exception]:
    """What a derivative pass raises for a model with one of the operations, and a training pass for an unfinished
    one.
    """
    found: dict[str, Exception] = {}
    for name, operation in OPERATIONS.items():
        subject = trainer(on=True)
        engine, data = subject.engine, laboratory.with_tokens(laboratory.mine(subject))
        direction = laboratory.full_direction(engine)
        last = engine.module.get_submodule("model.norm")
        last.register_forward_hook(lambda _, __, output, operation=operation: operation(output))
        with engine.train_mode():
            found[name] = _raised(passes.directional_derivatives, engine, data, direction)
            if operation is unfinished:
                found["training"] = _raised(passes.gradient, engine, data)
    return found


def _raised(call: Callable, *arguments: Any) -> Exception:
    try:
        call(*arguments)
    except (NotImplementedError, RuntimeError) as error:
        return error
    raise AssertionError("the pass was not refused")


def main() -> None:
    distributed.initialize_global_process_group()
    modeling_utils.checkpoint = checkpoint_of_torch_2_11
    results = {part.__name__: part() for part in (checkpointing, gathered, interrupted, refused)}
    if torch.distributed.get_rank() == 0:
        torch.save(results, laboratory.OUTPUT / "derivative_pass.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
