"""The device of a run, and CPU support for verl and vLLM: the whole pipeline on a machine without an accelerator.

The resolved recipe decides the device, and a stage's command passes `device_environment` to its child process. No
process detects the device itself: a Ray actor without GPUs on a GPU machine sees no accelerator either.

- `plugin`   the `verl.plugins` entry point, loaded by `import verl` in every process (verl/__init__.py:56)
- `platform` the platform class behind verl's device layer
- `model`    setup before a process builds a model, on any device; imported through `model.external_lib`, in RL by
  `vcore_verl.rl.worker`
- `engine`   FSDP2 engines and the vLLM replica for device "cpu"; imported the same way there
- `log_probs` log-probabilities from logits
- `rollout`  verl's own vLLM server, with a worker that keeps weights loadable for weight synchronisation
- `patches`  patches where the pinned libraries have no extension point, and the check of their versions
"""

import os


def launched() -> bool:
    """Whether this process belongs to a run of this project, rather than to another use of verl."""
    return bool(os.environ.get("VERL_PLATFORM"))


def launched_on_cpu() -> bool:
    """Whether this process belongs to a run on the CPU."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def cpu_environment() -> dict[str, str]:
    """Environment of every process of a CPU run."""
    return {
        "VERL_PLATFORM": "cpu",
        # Tensors of a model that a CPU can train are too small to split. A second thread gains little, and on a busy
        # machine each parallel region waits for a thread that is not scheduled: 10 s per step instead of 0.2 s.
        "OMP_NUM_THREADS": "1",
        # vLLM pins its OpenMP threads to cores by NUMA node, which puts two engines on the same core.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }


def device_environment(device: str) -> dict[str, str]:
    """Environment of every process of a run on `device`, "cpu" or "cuda"."""
    # verl calls the CUDA platform "nvidia" (verl/plugin/platform/platform_cuda.py), not "cuda".
    return cpu_environment() if device == "cpu" else {"VERL_PLATFORM": "nvidia"}


def external_library(device: str) -> str:
    """The module that verl imports before it builds a model (`model.external_lib`)."""
    return "vcore_verl.cpu.engine" if device == "cpu" else "vcore_verl.cpu.model"
