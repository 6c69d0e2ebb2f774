"""Directional derivatives of a model sharded with FSDP2, by forward-mode automatic differentiation.

FSDP2 unshards a module's parameters just before its forward and swaps them into the module. A hook that runs after
FSDP2's own replaces them with dual tensors (parameter, tangent); another, before FSDP2's own, restores them. Tangents
are sharded like the parameters. Adapters' tangents are small and gathered once; those of a full model are gathered with
its parameters, module by module in every forward.
"""

import contextlib
import re
import traceback
from collections.abc import Iterator
from typing import Any

import torch.autograd.forward_ad as fwAD
from torch import Tensor, nn
from torch._ops import OpOverloadPacket
from torch.autograd.function import BackwardCFunction
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

SMALL = 2**29  # bytes of all tangents together; rank-8 adapters of a model with 32 billion parameters need half of it
TORCHS_OWN = ("aten::", "prim::", "prims::")  # namespaces of torch's operators


class ForwardMode:
    """Context in which a forward of `model` also computes the derivative of its outputs along `tangents`.

    `tangents` maps names of `model.named_parameters()` to DTensors placed like the parameters; other parameters are
    constant. Read the derivative of an output with `torch.autograd.forward_ad.unpack_dual`.
    """

    def __init__(self, model: nn.Module, tangents: dict[str, Tensor]):
        size = sum(tangent.numel() * tangent.element_size() for tangent in tangents.values())
        self.tangents = {name: _full(tangent) for name, tangent in tangents.items()} if size <= SMALL else tangents
        self.units = {name: module for name, module in model.named_modules() if _is_unit(module)}
        self.saved: dict[tuple[str, nn.Module, str], Any] = {}
        name_of = {id(parameter): name for name, parameter in model.named_parameters()}
        # A tied parameter belongs to several modules, which all must get the same dual tensor.
        self.places: dict[str, list[tuple[nn.Module, str]]] = {name: [] for name in tangents}
        for module in model.modules():
            for leaf, parameter in module._parameters.items():
                if parameter is not None and name_of[id(parameter)] in self.places:
                    self.places[name_of[id(parameter)]].append((module, leaf))
        self.owned: dict[str, list[str]] = {unit: [] for unit in self.units}
        for name in tangents:
            enclosing = (unit for unit in self.units if unit == "" or name.startswith(f"{unit}."))
            self.owned[max(enclosing, key=len)].append(name)

    def __enter__(self) -> None:
        self.level = fwAD.dual_level()
        self.level.__enter__()
        self.handles = []
        for unit, module in self.units.items():
            self.handles.append(module.register_forward_pre_hook(lambda *_, unit=unit: self._swap_in(unit)))
            self.handles.append(module.register_forward_hook(lambda *_, unit=unit: self._swap_out(unit), prepend=True))

    def __exit__(self, *exception: object) -> None:
        for handle in self.handles:
            handle.remove()
        for (_, module, leaf), parameter in self.saved.items():
            module._parameters[leaf] = parameter  # left over after an exception in the middle of a forward
        self.saved.clear()
        self.level.__exit__(*exception)

    def _swap_in(self, unit: str) -> None:
        for name in self.owned[unit]:
            dual = None
            for module, leaf in self.places[name]:
                parameter: Any = module._parameters[leaf]
                if dual is None:
                    dual = fwAD.make_dual(parameter.detach(), _full(self.tangents[name]).to(parameter.dtype))
                self.saved[name, module, leaf] = parameter
                module._parameters[leaf] = dual

    def _swap_out(self, unit: str) -> None:
        for name in self.owned[unit]:
            for module, leaf in self.places[name]:
                module._parameters[leaf] = self.saved.pop((name, module, leaf))


@contextlib.contextmanager
def without_checkpointing(model: nn.Module) -> Iterator[None]:
    """Disable activation checkpointing of transformers' layers in the context; enable it again on exit, also after an
    exception.

    Without gradients no activations are kept, so checkpointing would save no memory. But torch 2.11 passes every
    layer's inputs through an autograd function without a forward-mode rule even then (torch/utils/checkpoint.py:1616;
    2.13 does not).
    """
    # Transformers sets the switch on each layer (modeling_utils.py:3272).
    layers: list[Any] = [module for module in model.modules() if vars(module).get("gradient_checkpointing")]
    for layer in layers:
        layer.gradient_checkpointing = False
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = True


class NoLossOfTangents(TorchFunctionMode):
    """Context that raises RuntimeError if a custom operator receives a tangent and returns none.

    Torch rejects its own operators that lack a forward-mode rule, but silently drops the tangent at a library's
    operator (`torch.library.custom_op`, torch/_library/autograd.py: forward_no_grad), even one that has a backward: the
    utilities would lack its contribution. Kernels launched without an operator are not detected.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        packet = getattr(func, "overloadpacket", func)
        # Inside an autograd function, which has its own rule, forward mode is off and no tensor has a tangent.
        if isinstance(packet, OpOverloadPacket) and not packet._qualified_op_name.startswith(TORCHS_OWN):
            taken = [_has_tangent(tensor) for tensor in _numbers((args, kwargs))]
            # An operator that returns nothing writes to its arguments.
            given = [_has_tangent(tensor) for tensor in _numbers(output)] if output is not None else taken
            if any(taken) and not all(given):
                raise RuntimeError(f"{packet} has no forward-mode derivative: set init.probe.derivative=central")
        return output


def _numbers(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _has_tangent(tensor: Tensor) -> bool:
    return fwAD.unpack_dual(tensor).tangent is not None


def _is_unit(module: nn.Module) -> bool:
    return isinstance(module, FSDPModule)


def _full(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def tangent_of(output: Tensor) -> Tensor:
    """The tangent of `output`; raises RuntimeError if an operation dropped it."""
    tangent = fwAD.unpack_dual(output).tangent
    if tangent is None:
        raise RuntimeError("the model's output carries no derivative: set init.probe.derivative=central")
    return tangent


def without_rule(error: NotImplementedError) -> str | None:
    """Name of the operation whose missing forward-mode rule made torch raise `error`; None for any other cause."""
    # Torch's own operations are named only in the message (torch/csrc/autograd/VariableTypeUtils.h:428).
    if named := re.match(r"Trying to use forward AD with (\w+) that does not support it", str(error)):
        return named[1]
    # An autograd function without a jvp is not named (torch/autograd/function.py:509), but is called from this frame.
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is BackwardCFunction.apply_jvp.__code__:
            function = frame.f_locals["self"]._forward_cls
            return f"{function.__module__}.{function.__qualname__}"
    return None
