"""The plan of a recipe in a terminal. Imports no torch."""

import math

import psutil
from rich.console import Console
from rich.table import Table

from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.estimate.allowance import longest, stall_seconds
from vcore_verl.preflight.estimate.cost import (
    GPUS,
    MEAN_PROMPT,
    READING_UTILISATION,
    TRAINING_UTILISATION,
    disk,
    hours,
    main_memory,
    tokens,
)
from vcore_verl.preflight.estimate.measured import measured
from vcore_verl.preflight.estimate.memory import GIB, phases, shortages
from vcore_verl.preflight.estimate.settings import Settings, settings_of
from vcore_verl.preflight.estimate.verdict import closest, on_each_gpu, reference_gpu, shortcut, verdict


def print_plan(recipe: Recipe, console: Console) -> None:
    """Print whether the resolved `recipe` fits, what it needs, and what the plan leaves out.

    Raises `UnknownArchitecture` for a model of unknown architecture.
    """
    s = settings_of(recipe)
    _say(console, _of_cpu(s) if s.on_cpu else verdict(s), "bold")
    console.print(_headline(s), highlight=False)
    console.print(_memory(s))
    for line in [] if s.on_cpu else on_each_gpu(s):
        _say(console, f"  {line}")
    for title, scale, items in (
        ("main memory of a machine, GiB", GIB, main_memory(s)),
        ("disk, GB", 1e9, disk(s)),
        ("tokens, million", 1e6, tokens(s)),
    ):
        rows = [(item.name, [item.amount / scale], item.how) for item in items]
        console.print(_summed(title, [""], rows))
    if not s.on_cpu:
        plans = [hours(s, gpu) for gpu in GPUS]
        rows = [(items[0].name, [item.amount for item in items], items[0].how) for items in zip(*plans, strict=True)]
        console.print(_summed("hours", [gpu.name for gpu in GPUS], rows))
        _say(console, shortcut(s))
        for stage in ["sft"] * recipe.has_sft + ["rl"] * recipe.has_rl:
            _say(console, _steps(s, stage))
    _say(console, f"not modelled: {', '.join(s.not_modelled()) or 'nothing that the recipe sets'}")
    console.print(_assumptions(s), style="dim", highlight=False)


def _say(console: Console, line: str, style: str = "") -> None:
    """Print one line without wrapping."""
    console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def _of_cpu(s: Settings) -> str:
    """The verdict for this machine's memory, shared by its processes."""
    memory = _cpu_memory(s)
    short = shortages(s, memory)
    return f"does not fit this machine: {short[0]}" if short else f"fits this machine; tightest: {closest(s, memory)}"


def _cpu_memory(s: Settings) -> float:
    return psutil.virtual_memory().total / s.ranks("sft")


def _headline(s: Settings) -> str:
    recipe, m = s.recipe, s.model
    machines = f"{recipe.hardware.nodes} nodes x " if recipe.hardware.nodes > 1 else ""
    where = (
        "CPU processes (hardware.device=cuda plans for GPUs)" if s.on_cpu else "GPU" + "s" * (recipe.hardware.gpus > 1)
    )
    trained = ", ".join(
        _trained(s, section) if trains else f"none in {section.upper()}"
        for section, trains in {"sft": recipe.has_sft, "rl": recipe.has_rl}.items()
    )
    return (
        f"[bold]plan of {recipe.name}[/bold] init={recipe.init.name} rl={recipe.rl.name}, on {machines}"
        f"{recipe.hardware.gpus} {where}\n"
        f"parameters: {_count(m.parameters)}; trained: {trained}\n"
        f"{m.layers} layers, hidden {m.hidden}, MLP {m.intermediate}, {m.heads} heads ({m.kv_heads} of keys) of "
        f"{m.head_dim}, vocabulary {m.vocab}{', tied' if m.tied else ''}"
    )


def _trained(s: Settings, section: str) -> str:
    if s.trains_all(section):
        return f"all in {section.upper()}"
    return f"{_count(s.trained(section))} in {section.upper()} (LoRA, rank {s.adapter_rank(section)})"


def _memory(s: Settings) -> Table:
    gpu = reference_gpu(s)
    name, memory = ("CPU process", _cpu_memory(s)) if s.on_cpu else (gpu.name, gpu.memory)
    found = list(phases(s, memory))
    parts = list(dict.fromkeys(part for phase in found for part in phase.parts))
    table = _table(f"memory of one {name}, GiB", "sum", *parts)
    for phase in found:
        amounts = [_amount(phase.parts[part] / GIB) if part in phase.parts else "" for part in parts]
        table.add_row(f"  {phase.name}", _amount(phase.total / GIB), *amounts)
    return table


def _summed(title: str, columns: list[str], rows: list[tuple[str, list[float], str]]) -> Table:
    """A table of rows (name, an amount per column, how they are computed), with the sums below."""
    table = _table(title, *columns, "")
    table.columns[-1].justify = "left"
    for name, amounts, how in rows:
        table.add_row(f"  {name}", *map(_amount, amounts), how)
    sums = map(sum, zip(*(amounts for _, amounts, _ in rows), strict=True))
    table.add_row("  sum", *map(_amount, sums), "", style="bold")
    return table


def _table(title: str, *columns: str) -> Table:
    """An empty table: first a column of names, then amounts."""
    table = Table(title, *columns, box=None, header_style="bold")
    table.columns[0].min_width = 22
    for column in table.columns[1:]:
        column.justify, column.min_width = "right", 6
    return table


def _steps(s: Settings, stage: str) -> str:
    """How long a step takes, and after how long without a new step training is stopped."""
    return (
        f"{stage.upper()}: at most {_amount(longest(s.recipe, stage))} seconds a step on these; stopped after "
        f"{stall_seconds(s.recipe, stage) / 60:.3g} minutes without a new one"
    )


def _assumptions(s: Settings) -> str:
    text = "P parameters, p trained. Traces and responses are taken to be half as long as they may be, prompts at most "
    text += f"{MEAN_PROMPT} tokens"
    if s.on_cpu:
        return text + "."
    checked = ", ".join(gpu.name for gpu in GPUS if measured(gpu.name))
    on_checked = f" (as scripts/check_gpu.sh measured it on {checked})" if checked else ""
    return text + (
        f"; training runs at {TRAINING_UTILISATION:.0%} of the published operations{on_checked}, generation reads at "
        f"{READING_UTILISATION:.0%} of the published bandwidth."
    )


def _count(number: float) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e9 else f"{number / 1e6:.2f} million"


def _amount(number: float) -> str:
    if number == math.inf:
        return "-"
    if 0 < number < 0.005:
        return "< 0.01"
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 1 else f"{number:.2f}"
