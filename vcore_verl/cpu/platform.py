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


def _device_module() -> types.ModuleType:
    """`torch.cpu` with the allocator and memory calls that verl makes on `torch.cuda`."""

    def nothing(*_args: Any, **_kwargs: Any) -> None:
        return None

    def allocated(*_args: Any) -> int:
        return psutil.Process().memory_info().rss

    def memory(*_args: Any) -> tuple[int, int]:
        virtual = psutil.virtual_memory()
        return virtual.available, virtual.total

    module = types.ModuleType("vcore_verl.cpu.torch_cpu")
    for name in (
        "empty_cache",
        "ipc_collect",
        "synchronize",
        "set_device",
        "init",
        "manual_seed",
        "manual_seed_all",
        "reset_peak_memory_stats",
        "reset_max_memory_allocated",
        "reset_accumulated_memory_stats",
        "set_per_process_memory_fraction",
    ):
        setattr(module, name, nothing)
    for name in ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"):
        setattr(module, name, allocated)
    members: dict[str, Any] = {
        "mem_get_info": memory,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: _DEVICE,
        # "CPU" is a key of verl.utils.flops_counter._DEVICE_FLOPS.
        "get_device_name": lambda *_args: "CPU",
        "get_rng_state": lambda *_args: torch.get_rng_state(),
        "set_rng_state": lambda state, *_args: torch.set_rng_state(state),
        "Stream": torch.cpu.Stream,
        "stream": torch.cpu.stream,
        "current_stream": torch.cpu.current_stream,
    }
    for name, value in members.items():
        setattr(module, name, value)
    return module


class PlatformCPU(PlatformBase):
    """Chosen by `VERL_PLATFORM=cpu` alone, never by auto-detection."""

    device_name = "cpu"
    vendor_name = "generic"
    device_module = _device_module()

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False

    def current_device(self) -> torch.device:  # type: ignore[override]
        # verl calls tensor.to(current_device()); an int would mean "accelerator 0".
        return _DEVICE

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        # verl's BucketedWeightSender then uses POSIX shared memory.
        return False

    def cudart(self) -> None:
        return None


def register() -> None:
    """Make `VERL_PLATFORM=cpu` a known platform."""
    PlatformRegistry.register(platform="cpu")(PlatformCPU)
