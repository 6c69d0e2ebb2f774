"""Whether a recipe can run on this machine, and what to do if it cannot. Imports no torch.

Packages are checked first; if any are missing, checks that need them are skipped.
"""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vcore_verl.config.checks import is_code
from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.data.code import judging
from vcore_verl.data.command import base_command, data_command, test_sets_command
from vcore_verl.preflight.doctor import machine, network, software
from vcore_verl.preflight.doctor.finding import Finding
from vcore_verl.runs.layout import Run

__all__ = ["Finding", "examine", "print_findings"]

MARKS = {"ok": "[green]ok[/green]", "warning": "[yellow]warning[/yellow]", "error": "[red]error[/red]"}


def examine(recipe: Recipe) -> Iterator[Finding]:
    """All findings for a recipe with a resolved device."""
    on_cpu = recipe.hardware.device == "cpu"
    yield software.python()
    device = "cpu" if on_cpu else "gpu"
    other_set = software.package_set(device)
    installed = [other_set] if other_set else list(software.packages(ROOT / f"constraints-{device}.txt"))
    yield from installed
    if not on_cpu and not other_set:
        yield software.attention(recipe)
    yield from _materials(recipe)
    states = machine.gpu_states()
    yield from machine.gpus(recipe, states)
    if not any(finding.found.startswith("missing") for finding in installed):
        yield from _needs(recipe, states)
    yield machine.shared_memory()
    yield machine.open_files()
    yield machine.ray_folder()
    yield from network.cluster(recipe)
    yield from network.hub(recipe)


def _materials(recipe: Recipe) -> Iterator[Finding]:
    """Errors for a model or data that cannot be made here, such as a missing package, at most one of each; or else what
    runs programs.
    """
    commands = {"model": (base_command,), "data": (data_command, test_sets_command)}
    makeable = True
    for subject, builders in commands.items():
        try:
            for build in builders:
                build(recipe, Run(recipe))
        except RecipeError as error:
            yield Finding(subject, "cannot be made here", "error", str(error))
            makeable = False
    if is_code(recipe) and makeable:
        yield Finding("programs", judging.check(recipe))


def _needs(recipe: Recipe, states: list[machine.GpuState]) -> Iterator[Finding]:
    """Compare memory and disk with the plan."""
    from vcore_verl.preflight.estimate.architecture import UnknownArchitecture
    from vcore_verl.preflight.estimate.cost import disk, main_memory
    from vcore_verl.preflight.estimate.memory import shortages
    from vcore_verl.preflight.estimate.settings import settings_of
    from vcore_verl.preflight.obstacles import obstacle

    try:
        settings = settings_of(recipe)
    except UnknownArchitecture as error:
        yield Finding("plan", "none", "warning", str(error))
        return
    yield machine.memory(sum(item.amount for item in main_memory(settings)))
    yield machine.disk(sum(item.amount for item in disk(settings)), Path(recipe.output_dir))
    if reason := obstacle(recipe, states):
        yield Finding(recipe.hardware.device.upper(), "cannot run this recipe", "error", reason)
    elif states and recipe.hardware.device == "cuda":
        smallest = min(state.memory for state in states)
        for reason in shortages(settings, smallest):
            yield Finding("GPU memory", "too small by the plan", "warning", reason)


def print_findings(findings: list[Finding], console: Console) -> None:
    """Print the findings as a table, errors last, so that they stay on screen."""
    table = Table("", "", "found", "what to do", box=None, header_style="bold")
    for column in table.columns[2:]:
        column.overflow = "fold"
    for finding in sorted(findings, key=lambda finding: list(MARKS).index(finding.level)):
        table.add_row(MARKS[finding.level], finding.subject, escape(finding.found), escape(finding.advice))
    console.print(table)
