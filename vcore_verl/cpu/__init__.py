"""What a run is on, and CPU support for verl and vLLM: the whole pipeline on a machine without an accelerator.

The device is the resolved recipe's, and a stage's command hands `device_environment` to its child process. Nothing is
guessed per process: a Ray actor without GPUs on a GPU machine sees no accelerator either.

- `plugin`   the `verl.plugins` entry point, loaded by `import verl` in every process (verl/__init__.py:56)
- `platform` the platform class behind verl's device layer
- `model`    what a process needs before it builds a model, on any device; imported through `model.external_lib`
- `engine`   FSDP2 engines and the vLLM replica for device "cpu"; imported the same way there
- `log_probs` log-probabilities from logits
- `rollout`  verl's own vLLM server with a worker that survives weight synchronisation
- `patches`  the few places where the pinned libraries leave no extension point, and the guard of their versions
"""

import os


def launched() -> bool:
    """Whether this process belongs to a run, for which the launcher chose a device, and not to another use of verl."""
    return bool(os.environ.get("VERL_PLATFORM"))


def launched_on_cpu() -> bool:
    """Whether the launcher chose the CPU for the run that this process belongs to."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def cpu_environment() -> dict[str, str]:
    """Environment of every process of a CPU run."""
    return {
        "VERL_PLATFORM": "cpu",
        # Tensors of a model that a CPU can train are too small to share. A second thread brings little, and on a busy
        # machine each parallel region waits for a thread that is not scheduled: 10 s a step instead of 0.2 s.
        "OMP_NUM_THREADS": "1",
        # vLLM pins its OpenMP threads to cores by NUMA node, which puts two engines on the same core.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }


def device_environment(device: str) -> dict[str, str]:
    """Environment of every process of a run on `device`, "cpu" or "cuda"."""
    # verl's name for CUDA's platform is "nvidia" (verl/plugin/platform/platform_cuda.py); it knows none called "cuda".
    return cpu_environment() if device == "cpu" else {"VERL_PLATFORM": "nvidia"}


def external_library(device: str) -> str:
    """The module that verl is to import wherever it builds a model (`model.external_lib`)."""
    return "vcore_verl.cpu.engine" if device == "cpu" else "vcore_verl.cpu.model"
