"""Bytes of all tensors alive, on any machine.

A fake tensor has shape, dtype and a storage with a size, but no data (`torch._subclasses.fake_tensor`): a training step
of any size takes seconds and no memory.
"""

import weakref
from collections import Counter
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._guards import active_fake_mode
from torch.distributed._tools.common_utils import get_untyped_storages
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten


class Ledger(TorchDispatchMode):
    """Bytes of all storages alive. `peaks` has the most since each `begin`, and `tables` what they consisted of, by the
    operation that made a storage, its shape and dtype.

    Fake tensors have no values: a question about one is answered with 1, about a length with `tokens`.
    """

    def __init__(self, tokens: int):
        super().__init__()
        self.tokens, self.total, self.moment = tokens, 0, ""
        self.now: Counter[str] = Counter()
        self.known: dict[int, tuple[str, int, Any]] = {}
        self.peaks: dict[str, int] = {}
        self.tables: dict[str, Counter[str]] = {}

    def begin(self, moment: str) -> None:
        self.moment = moment
        self.peaks[moment], self.tables[moment] = self.total, +self.now

    def add(self, label: str, *tensors: Tensor) -> None:
        for storage in (storage for tensor in tensors for storage in get_untyped_storages(tensor)):
            self._enter(storage, label)

    def _enter(self, storage: torch.UntypedStorage, label: str) -> None:
        key, size = id(storage), storage.size()
        self._leave(key)
        self.known[key] = label, size, weakref.ref(storage, lambda _: self._leave(key))
        self.now[label] += size
        self.total += size
        if self.moment and self.total > self.peaks[self.moment]:
            self.peaks[self.moment], self.tables[self.moment] = self.total, +self.now

    def _leave(self, key: int) -> None:
        label, size, _ = self.known.pop(key, ("", 0, None))
        self.now[label] -= size
        self.total -= size

    def __enter__(self) -> "Ledger":
        resize = torch.UntypedStorage.resize_

        def resized(storage: torch.UntypedStorage, size: int) -> None:  # how FSDP2 frees and fills gathered parameters
            resize(storage, size)
            if id(storage) in self.known:
                self._enter(storage, self.known[id(storage)][0])

        self.patch = mock.patch.object(torch.UntypedStorage, "resize_", resized)
        self.patch.start()
        self.mode = active_fake_mode()
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        self.patch.stop()
        super().__exit__(*exception)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if DTensor in types:
            return NotImplemented  # which makes operations on shards of it
        result = self._answer(func, args)
        if result is None:
            result = func(*args, **(kwargs or {}))
        # Neither shapes that DTensor infers in a mode of its own, nor zero tangents and their shapes, have memory.
        if active_fake_mode() is self.mode and func is not aten._efficientzerotensor.default:
            for tensor in (leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and not leaf.is_meta):
                for storage in get_untyped_storages(tensor):
                    if id(storage) not in self.known:
                        self._enter(storage, f"{func._schema.name} {tuple(tensor.shape)} {tensor.dtype}")
        return result

    def _answer(self, func: Any, args: Any) -> Any:
        if func is torch.ops._c10d_functional.wait_tensor.default:
            return args[0]
        if func is aten._local_scalar_dense.default:
            return self.tokens if args[0].dtype in (torch.int64, torch.int32) else 1.0
        if func is aten.repeat_interleave.Tensor:
            return torch.empty(self.tokens, dtype=torch.long)
        return None
