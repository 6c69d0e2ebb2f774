"""Engines and rollout replica for device "cpu", in addition to what `model` does for any device.

verl imports this module through `model.external_lib` (verl/workers/config/model.py:149).
"""

from typing import Any

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl
from verl.workers.rollout.replica import RolloutReplicaRegistry

from vcore_verl.cpu import model  # noqa: F401
from vcore_verl.cpu.patches import use_pageable_memory


@EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")
class CPUEngineWithLMHead(transformer_impl.FSDPEngineWithLMHead):
    engine_config: Any

    def _build_fsdp_module(self, module: Any) -> Any:
        if self.engine_config.strategy != "fsdp2":
            raise ValueError("the CPU needs strategy=fsdp2: FSDP1 rejects parameters on the CPU")
        return super()._build_fsdp_module(module)


def _vllm_replica() -> type:
    from vcore_verl.cpu.rollout import CPUvLLMReplica

    return CPUvLLMReplica


RolloutReplicaRegistry.register("vllm", _vllm_replica)
use_pageable_memory()
