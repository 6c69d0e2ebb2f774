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
from vcore_verl.preflight.estimate.memory import GIB, phases
from vcore_verl.preflight.estimate.settings import Settings, settings_of


def print_plan(recipe: Recipe, console: Console) -> None:
    """Print what the resolved `recipe` needs, and warn where it does not fit.

    Raises `UnknownArchitecture` for a model whose shape is not known here.
    """
    s = settings_of(recipe)
    console.print(_headline(s), highlight=False)
    console.print(_memory(s))
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
        for stage in ["sft"] * recipe.has_sft + ["rl"] * recipe.has_rl:
            console.print(_steps(s, stage), highlight=False)
    console.print(_assumptions(s), style="dim", highlight=False)
    for warning in warnings(s):
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def warnings(s: Settings) -> list[str]:
    """What does not fit, one line each, and the key that helps; the figures are those of the first GPU named."""
    short: dict[str, dict[str, str]] = {}
    for name, memory in _memories(s).items():
        for phase in phases(s, memory):
            if reason := phase.shortage(memory):
                short.setdefault(phase.name, {})[name] = reason
    return [f"{', '.join(found)}: {next(iter(found.values()))}" for found in short.values()]


def _memories(s: Settings) -> dict[str, float]:
    """What a phase has to fit into, in bytes."""
    if s.on_cpu:
        return {"CPU process": psutil.virtual_memory().total / s.ranks("sft")}
    return {gpu.name: gpu.memory for gpu in GPUS}


def _headline(s: Settings) -> str:
    recipe, m = s.recipe, s.model
    machines = f"{recipe.hardware.nodes} nodes x " if recipe.hardware.nodes > 1 else ""
    where = "CPU processes" if s.on_cpu else "GPUs"
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
    name, memory = next(iter(_memories(s).items()))
    found = list(phases(s, memory))
    parts = list(dict.fromkeys(part for phase in found for part in phase.parts))
    table = _table(f"memory of one {name}, GiB", "sum", *parts)
    for phase in found:
        amounts = [_amount(phase.parts[part] / GIB) if part in phase.parts else "" for part in parts]
        table.add_row(f"  {phase.name}", _amount(phase.total / GIB), *amounts)
    return table


def _summed(title: str, columns: list[str], rows: list[tuple[str, list[float], str]]) -> Table:
    """Rows of a name, an amount for each of `columns`, and how they come about, with their sum below."""
    table = _table(title, *columns, "")
    table.columns[-1].justify = "left"
    for name, amounts, how in rows:
        table.add_row(f"  {name}", *map(_amount, amounts), how)
    sums = map(sum, zip(*(amounts for _, amounts, _ in rows), strict=True))
    table.add_row("  sum", *map(_amount, sums), "", style="bold")
    return table


def _table(title: str, *columns: str) -> Table:
    """The first column holds names, the others amounts."""
    table = Table(title, *columns, box=None, header_style="bold")
    table.columns[0].min_width = 30
    for column in table.columns[1:]:
        column.justify, column.min_width = "right", 8
    return table


def _steps(s: Settings, stage: str) -> str:
    """How long a step takes, and when a training without a new one is stopped."""
    return (
        f"{stage.upper()}: at most {_amount(longest(s.recipe, stage))} seconds a step on these; stopped after "
        f"{stall_seconds(s.recipe, stage) / 60:.3g} minutes without a new one"
    )


def _assumptions(s: Settings) -> str:
    text = "P parameters, p trained. Traces and responses are taken to be half as long as they may be, prompts at most "
    text += f"{MEAN_PROMPT} tokens"
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
