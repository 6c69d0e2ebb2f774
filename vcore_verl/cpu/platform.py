"""The CPU as a verl platform (verl/plugin/platform/platform_base.py).

verl counts everything in accelerators, so a CPU run has logical "GPUs": Ray is started with `num_gpus` = number of
ranks, and the platform keeps Ray's resource name.
"""

import contextlib
import types
from collections.abc import Iterator
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

_DEVICE = torch.device("cpu")


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    """Stands in for calls that only make sense on an accelerator."""


def _resident(*_args: Any) -> int:
    return psutil.Process().memory_info().rss


def _free_and_total(*_args: Any) -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def _device_module() -> types.ModuleType:
    """`torch.cpu` with the allocator and memory calls that verl makes on `torch.cuda`."""
    module = types.ModuleType("vcore_verl.cpu.torch_cpu")
    vars(module).update((name, value) for name, value in vars(torch.cpu).items() if not name.startswith("_"))
    allocator = ("empty_cache", "ipc_collect", "set_per_process_memory_fraction")
    resets = ("reset_peak_memory_stats", "reset_max_memory_allocated", "reset_accumulated_memory_stats")
    used = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")
    vars(module).update(dict.fromkeys(("init", "manual_seed", "manual_seed_all", *allocator, *resets), _nothing))
    vars(module).update(
        dict.fromkeys(used, _resident),
        mem_get_info=_free_and_total,
        current_device=lambda: _DEVICE,
        get_device_name=lambda *_args: "CPU",  # a key of verl.utils.flops_counter._DEVICE_FLOPS
        get_rng_state=lambda *_args: torch.get_rng_state(),
        set_rng_state=lambda state, *_args: torch.set_rng_state(state),
    )
    return module


class PlatformCPU(PlatformBase):
    """Chosen only by `VERL_PLATFORM=cpu`, never by auto-detection."""

    device_name = "cpu"
    vendor_name = "generic"
    device_module = _device_module()
    set_device = synchronize = set_allocator_settings = empty_cache = _nothing
    profiler_start = profiler_stop = cudart = _nothing

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False

    def current_device(self) -> torch.device:  # type: ignore[override]
        # verl calls tensor.to(current_device()); an int would mean "accelerator 0".
        return _DEVICE

    def device_count(self) -> int:
        return 1

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        # verl's BucketedWeightSender then uses POSIX shared memory.
        return False


def register() -> None:
    """Register the platform for `VERL_PLATFORM=cpu`."""
    PlatformRegistry.register(platform="cpu")(PlatformCPU)
