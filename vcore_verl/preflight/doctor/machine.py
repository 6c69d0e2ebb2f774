"""Checks of this machine's GPUs, memory, disk and limits against the needs of a recipe."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.doctor.finding import Finding, judge
from vcore_verl.runtime import hardware

GIB = 2**30
DRIVER = 580  # the oldest for CUDA 13, the version in constraints-gpu.txt
BUSY = 2 * GIB  # a GPU with more memory in use is busy
SHARED_MEMORY_LEAST, SHARED_MEMORY_GOOD = GIB, 8 * GIB  # Docker's default is 64 MiB
OPEN_FILES = 8192
SOCKET_PATH = 107  # bytes, the operating system's limit
SESSION = len("/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")


class GpuState(NamedTuple):
    """A GPU as nvidia-smi lists it; memory in bytes."""

    name: str
    driver: str
    memory: int
    used: int
    capability: tuple[int, int]


def gpu_states() -> list[GpuState]:
    """The GPUs that nvidia-smi lists; empty if it is missing or fails."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,memory.used,compute_cap",
        "--format=csv,noheader,nounits",
    ]
    ended = subprocess.run(query, capture_output=True, text=True, check=False)
    return parse(ended.stdout) if ended.returncode == 0 else []


def parse(listed: str) -> list[GpuState]:
    """Parse nvidia-smi's lines `name, driver, total MiB, used MiB, compute capability`."""
    rows = [line.split(", ") for line in listed.splitlines() if line.count(", ") == 4]
    return [
        GpuState(name, driver, int(total) * 2**20, int(used) * 2**20, _version(capability))
        for name, driver, total, used, capability in rows
    ]


def _version(found: str) -> tuple[int, int]:
    major, _, minor = found.partition(".")
    return int(major), int(minor)


def gpus(recipe: Recipe, states: list[GpuState]) -> Iterator[Finding]:
    """Check number, driver and free memory of the GPUs, for a resolved recipe."""
    if recipe.hardware.device == "cpu":
        yield Finding("GPU", "not needed: hardware.device is cpu")
    elif reason := hardware.shortage(recipe):
        yield Finding("GPU", f"{hardware.num_gpus()} of {recipe.hardware.gpus}", "error", reason)
    elif not states:
        advice = "install NVIDIA's driver, or load its kernel module"
        yield Finding("GPU", "nvidia-smi does not answer", "error", advice)
    else:
        yield Finding("GPU", f"{len(states)} x {states[0].name}, {states[0].memory / GIB:.0f} GiB")
        yield driver(states[0].driver)
        busy = {str(index): state.used for index, state in enumerate(states) if state.used > BUSY}
        if busy:
            found = f"GPU {', '.join(busy)} in use, up to {max(busy.values()) / GIB:.0f} GiB"
            advice = "end the processes that nvidia-smi lists, or choose other GPUs with CUDA_VISIBLE_DEVICES"
            yield Finding("GPU memory", found, "error", advice)


def driver(found: str) -> Finding:
    """Check NVIDIA's driver, a version such as 580.65.06."""
    advice = f"CUDA 13 needs {DRIVER} or newer: update NVIDIA's driver"
    return judge("driver", found, advice, error=int(found.partition(".")[0]) < DRIVER)


def cpu_flags() -> frozenset[str]:
    """What the processor can do, in the kernel's words; empty where it does not say."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def memory(needed: float, available: float | None = None) -> Finding:
    """Check main memory, in bytes."""
    state = psutil.virtual_memory()
    found = state.available if available is None else available
    text, too_small = f"{found / GIB:.0f} GiB free, about {needed / GIB:.0f} needed", state.total < needed
    advice = (
        "use a machine with more memory; fewer gpus= need less" if too_small else "end other programs before the start"
    )
    return judge("memory", text, advice, error=too_small, warning=found < needed)


def disk(needed: float, output_dir: Path) -> Finding:
    """Check free space in the output directory, in bytes."""
    place = output_dir.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return Finding("disk", f"{place} cannot be written", "error", "set output_dir=<a directory of yours>")
    found = shutil.disk_usage(place).free
    text = f"{found / 1e9:,.0f} GB free in {place}, {needed / 1e9:,.0f} needed for one run"
    advice = "set output_dir=<a larger disk>, or delete old runs and their stale/ folders"
    return judge("disk", text, advice, error=found < needed)


def shared_memory(place: Path = Path("/dev/shm")) -> Finding:
    """Shared memory for Ray's object store and NCCL's buffers."""
    if not place.is_dir():
        return Finding("shared memory", f"no {place}", "warning", "Ray then keeps its objects on disk, which is slow")
    found, advice = shutil.disk_usage(place).free, "start the container with --shm-size=16g or --ipc=host"
    levels = {"error": found < SHARED_MEMORY_LEAST, "warning": found < SHARED_MEMORY_GOOD}
    return judge("shared memory", f"{found / GIB:.1f} GiB free in {place}", advice, **levels)


def open_files(limit: int | None = None) -> Finding:
    """The limit on open files: Ray opens many sockets and files per process."""
    found = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    if found == resource.RLIM_INFINITY:
        return Finding("open files", "no limit")
    advice = "ulimit -n 65536 in the shell that starts the run"
    return judge("open files", f"at most {found}", advice, warning=found < OPEN_FILES)


def ray_folder(folder: str | None = None) -> Finding:
    """Check Ray's temporary directory: it holds sockets, whose paths must be short."""
    place, longest = folder or os.environ.get("RAY_TMPDIR") or "/tmp", SOCKET_PATH - len("/ray") - SESSION
    if len(os.fsencode(place)) > longest:
        advice = f"set RAY_TMPDIR to a path of at most {longest} characters"
        return Finding("Ray", f"its directory {place} is too long for sockets", "error", advice)
    if not os.access(place, os.W_OK):
        return Finding("Ray", f"its directory {place} cannot be written", "error", "set RAY_TMPDIR to one that can")
    return Finding("Ray", f"keeps its sockets in {place}/ray")
