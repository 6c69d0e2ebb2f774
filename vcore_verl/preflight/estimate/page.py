"""The plan of a recipe in a terminal. Imports no torch."""

import math

import psutil
from rich.console import Console
from rich.table import Table

from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.estimate.allowance import longest_step, stall_seconds
from vcore_verl.preflight.estimate.cost import (
    GPUS,
    MEAN_PROMPT,
    READING_UTILISATION,
    TRAINING_UTILISATION,
    Item,
    disk,
    hours,
    main_memory,
    tokens,
)
from vcore_verl.preflight.estimate.memory import GIB, Phase, phases
from vcore_verl.preflight.estimate.settings import Settings, settings_of


def print_plan(recipe: Recipe, console: Console) -> None:
    """Print what the resolved `recipe` needs, and warn where it does not fit.

    Raises `UnknownArchitecture` for a model whose shape is not known here.
    """
    s = settings_of(recipe)
    console.print(_headline(s), highlight=False)
    memory = psutil.virtual_memory().total / s.ranks if s.on_cpu else GPUS[0].memory
    found = phases(s, memory)
    console.print(_memory(found, "of one process" if s.on_cpu else f"of one {GPUS[0].name}"))
    console.print(_items("main memory of a machine", "GiB", GIB, main_memory(s)))
    console.print(_items("disk", "GB", 1e9, disk(s)))
    console.print(_items("tokens", "million", 1e6, tokens(s)))
    if not s.on_cpu:
        console.print(_hours(s))
        console.print(_steps(s), highlight=False)
    console.print(_assumptions(s), style="dim", highlight=False)
    for warning in warnings(s):
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def warnings(s: Settings) -> list[str]:
    """What does not fit, one line each, and the key that helps."""
    if s.on_cpu:
        memory = psutil.virtual_memory().total / s.ranks
        return [reason for phase in phases(s, memory) if (reason := phase.shortage(memory))]
    found: dict[str, list[str]] = {}
    for gpu in GPUS:
        for phase in phases(s, gpu.memory):
            if reason := phase.shortage(gpu.memory):
                found.setdefault(phase.name, []).append(f"{gpu.name}: {reason}")
    return [reasons[0] if len(reasons) == 1 else _shared(reasons) for reasons in found.values()]


def _shared(reasons: list[str]) -> str:
    """The first GPU's reason under the names of all that share it."""
    names = [reason.partition(": ")[0] for reason in reasons]
    return f"{', '.join(names)}: {reasons[0].partition(': ')[2]}"


def _headline(s: Settings) -> str:
    recipe, m = s.recipe, s.model
    machines = f"{recipe.hardware.nodes} nodes x " if recipe.hardware.nodes > 1 else ""
    where = "CPU processes" if s.on_cpu else "GPUs"
    trained = "all in SFT"
    if recipe.model.lora.rank:
        trained = f"{_count(s.trainable_in_sft)} in SFT (LoRA, rank {recipe.model.lora.rank})"
    trained = trained if recipe.has_sft else "none in SFT"
    trained += ", all in RL" if recipe.has_rl else ", none in RL"
    return (
        f"[bold]plan of {recipe.name}[/bold] init={recipe.init.name} rl={recipe.rl.name}, on {machines}"
        f"{recipe.hardware.gpus} {where}\n"
        f"parameters: {_count(m.parameters)}; trained: {trained}\n"
        f"{m.layers} layers, hidden {m.hidden}, MLP {m.intermediate}, {m.heads} heads ({m.kv_heads} of keys) of "
        f"{m.head_dim}, vocabulary {m.vocab}{', tied' if m.tied else ''}"
    )


def _memory(found: list[Phase], where: str) -> Table:
    table = _table(f"memory {where}", "GiB")
    for phase in found:
        table.add_row(phase.name, f"{phase.total / GIB:.1f}", "", style="bold")
        for part in phase.parts:
            table.add_row(f"  {part.name}", _amount(part.size / GIB), part.how)
    return table


def _items(title: str, unit: str, scale: float, items: list[Item]) -> Table:
    table = _table(title, unit)
    for item in items:
        table.add_row(f"  {item.name}", _amount(item.amount / scale), item.how)
    table.add_row("  sum", _amount(sum(item.amount for item in items) / scale), "", style="bold")
    return table


def _hours(s: Settings) -> Table:
    table = Table("hours", *(gpu.name for gpu in GPUS), "", box=None, header_style="bold")
    for column in table.columns[1:-1]:
        column.justify = "right"
    columns = [hours(s, gpu) for gpu in GPUS]
    for rows in zip(*columns, strict=True):
        table.add_row(f"  {rows[0].name}", *(_amount(row.amount) for row in rows), rows[0].how)
    table.add_row("  sum", *(_amount(sum(item.amount for item in items)) for items in columns), "", style="bold")
    return table


def _steps(s: Settings) -> str:
    """How long a step takes, and when a training without a new one is stopped."""
    recipe = s.recipe
    stages = ["sft"] * recipe.has_sft + ["rl"] * recipe.has_rl
    return "\n".join(
        f"{stage.upper()}: at most {_amount(longest_step(recipe, stage))} seconds a step on these; stopped after "
        f"{stall_seconds(recipe, stage) / 60:.3g} minutes without a new one"
        for stage in stages
    )


def _table(title: str, unit: str) -> Table:
    table = Table(title, unit, "", box=None, header_style="bold", min_width=60)
    table.columns[0].min_width = 24
    table.columns[1].justify = "right"
    table.columns[1].min_width = 8
    return table


def _assumptions(s: Settings) -> str:
    text = f"P parameters, R = {s.ranks} ranks, V vocabulary, H hidden, I MLP, L layers, e = {s.element} bytes a value."
    text += f" Traces and responses are taken to be half as long as they may be, prompts at most {MEAN_PROMPT} tokens"
    if s.on_cpu:
        return text + "."
    return text + (
        f"; training runs at {TRAINING_UTILISATION:.0%} of the published operations, generation reads at "
        f"{READING_UTILISATION:.0%} of the published bandwidth. Start-up and checkpoint writing are not counted."
    )


def _count(number: float) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e9 else f"{number / 1e6:.2f} million"


def _amount(number: float) -> str:
    if number == math.inf:
        return "-"
    if 0 < number < 0.005:
        return "< 0.01"
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 1 else f"{number:.2f}"
