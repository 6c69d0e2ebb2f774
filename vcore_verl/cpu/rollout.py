"""verl's own vLLM rollout (HTTP server, replica, weight sync through shared memory) on vLLM for the CPU."""

import ray
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica

from vcore_verl.cpu.patches import keep_linear_weights


class CPUWorkerExtension(vLLMColocateWorkerExtension):
    def __new__(cls, **kwargs):
        # vLLM creates the extension in its worker process before it loads the model.
        keep_linear_weights()
        return super().__new__(cls, **kwargs)


class CPUvLLMHttpServer(vLLMHttpServer):
    def _get_worker_extension_cls(self) -> str:
        return f"{CPUWorkerExtension.__module__}.{CPUWorkerExtension.__qualname__}"


class CPUvLLMReplica(vLLMReplica):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.server_class = ray.remote(CPUvLLMHttpServer)
