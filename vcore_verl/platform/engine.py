"""Engines and rollout replica for device "cpu".

verl imports this module through `model.external_lib` (verl/workers/config/model.py:149).
"""

from typing import Any
from unittest import mock

from torch.distributed.fsdp import CPUOffloadPolicy
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl
from verl.workers.rollout.replica import RolloutReplicaRegistry


class _PageableOffload:
    """Offloads the reference policy without pinned memory, which needs an accelerator (transformer_impl.py:462)."""

    engine_config: Any

    def _build_fsdp_module(self, module: Any) -> Any:
        if self.engine_config.strategy != "fsdp2":
            raise ValueError("on the CPU only strategy=fsdp2 runs: FSDP1 refuses parameters on the CPU")
        with mock.patch.object(
            transformer_impl, "CPUOffloadPolicy", lambda pin_memory: CPUOffloadPolicy(pin_memory=False)
        ):
            return super()._build_fsdp_module(module)  # type: ignore[misc]


@EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")
class CPUEngineWithLMHead(_PageableOffload, transformer_impl.FSDPEngineWithLMHead):
    pass


def _vllm_replica() -> type:
    from vcore_verl.platform.rollout import CPUvLLMReplica

    return CPUvLLMReplica


RolloutReplicaRegistry.register("vllm", _vllm_replica)
