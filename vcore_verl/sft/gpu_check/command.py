"""The complete check: `python -m vcore_verl check-gpu`."""

import importlib.metadata
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import torch
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import load
from vcore_verl.runtime.hardware import expandable_segments
from vcore_verl.sft.gpu_check import record
from vcore_verl.sft.gpu_check.page import checks_table, steps_table
from vcore_verl.sft.gpu_check.record import Check
from vcore_verl.sft.gpu_check.sizes import SIZES
from vcore_verl.sft.view import start_process_group

VERSIONS = ("torch", "transformers", "verl")
OLDEST = (8, 0)  # minimum compute capability for flash attention in bfloat16
Found = TypeVar("Found")


def run(console: Console) -> bool:
    """Check this machine's first GPU, or the CPU if there is none; return whether all checks passed.

    Prints a table for each part and writes the file that `plan` reads. Occupies the process: the process group and
    verl's engines live until it exits. Raises `InputError` for a card that is too old.
    """
    os.environ.update(expandable_segments())  # before CUDA starts
    device = "cuda" if torch.cuda.is_available() else "cpu"
    card = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    if device == "cuda" and torch.cuda.get_device_capability() < OLDEST:
        raise InputError(f"{card} is too old: flash attention in bfloat16 needs an A100, an RTX 30 or a newer card")
    console.print(f"[bold]check of {card}[/bold]", highlight=False)
    if device == "cpu":
        console.print("There is no GPU here: the same on the CPU, in tiny sizes.", highlight=False)
    _start()
    from vcore_verl.sft.gpu_check import attention, cost, utilities

    sizes, failures = SIZES[device], list[Check]()
    recipe = load(sizes.recipe, ["init=vcore"])
    with tempfile.TemporaryDirectory() as folder:
        checks = _found("attention", attention.checks(sizes, device), failures, console)
        checks += _found("utilities", utilities.checks(recipe, sizes, Path(folder) / "utilities"), failures, console)
        console.print(checks_table(checks), highlight=False)
        steps = _found("cost", cost.steps(recipe, sizes, Path(folder) / "cost"), failures, console)
        console.print(steps_table(steps), highlight=False)
    checks += failures
    versions = {name: importlib.metadata.version(name) for name in VERSIONS}
    path = record.write(card, versions, checks, steps, sizes)
    console.print(f"written to {path}", highlight=False, soft_wrap=True)
    for check in checks:
        if not check.passed:
            console.print(f"failed: {check.part}: {check.name}", style="red", highlight=False, soft_wrap=True)
    return all(check.passed for check in checks)


def _start() -> None:
    """Start a process group of one and silence the libraries' startup messages. verl may be imported afterwards."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    disable_progress_bar()
    start_process_group()


def _found(part: str, items: Iterable[Found], failures: list[Check], console: Console) -> list[Found]:
    """Collect `items`. An error prints its traceback, adds a failed check and ends this part only."""
    found = []
    with console.status(part):
        try:
            for item in items:
                found.append(item)
        except Exception as error:
            console.print_exception()
            failures.append(Check(part, f"{type(error).__name__}: {error}".splitlines()[0], math.nan, math.nan))
    return found
