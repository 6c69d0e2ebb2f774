"""Progress of running stages: a live bar on a terminal, plain lines elsewhere. Imports no torch."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from vcore_verl.runtime.process import Command

# What to show next to the step -> the metrics that hold it: ours, and the names in verl's PPO trainer.
SHOWN = {
    "loss": ("loss", "train/loss"),
    "reward": ("reward", "critic/score/mean", "critic/rewards/mean"),
    "accuracy": ("accuracy",),
}
PLAIN_SECONDS = 30.0


@contextmanager
def shown(console: Console, title: str, command: Command) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show the progress of one stage; yields the function to call with each progress line."""
    state, printed = StageProgress(command), 0.0
    text, state_text = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[state]}", markup=False)
    columns = (SpinnerColumn(), text, BarColumn(bar_width=24), state_text)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, state="starting")

        def update(line: dict[str, Any]) -> None:
            nonlocal printed
            state.add(line)
            bar.update(task, completed=line["step"], total=state.total, state=state.text())
            if not console.is_terminal and time.monotonic() - printed >= PLAIN_SECONDS:
                printed = time.monotonic()
                console.print(f"{title}: {state.text()}", highlight=False, markup=False, soft_wrap=True)

        yield update


class StageProgress:
    """Step, total, main metric and remaining time, from progress lines."""

    def __init__(self, command: Command) -> None:
        self.unit = command.unit
        self.total = command.total
        self.line: dict[str, Any] = {}
        self.first: tuple[int, float] | None = None  # step and time of this attempt's first line

    def add(self, line: dict[str, Any]) -> None:
        if self.first is None or line["step"] < self.first[0]:
            self.first = (line["step"], time.monotonic())
        self.line = line
        self.total = line.get("total", self.total)

    def text(self) -> str:
        """For example `step 12/100  loss 1.234  2:05 left`."""
        parts = [f"{self.unit} {self.line['step']}/{self.total}"]
        for name, keys in SHOWN.items():
            value = next((self.line[key] for key in keys if key in self.line), None)
            if value is not None:
                parts.append(f"{name} {value:.3g}")
        if (left := self._seconds_left()) is not None:
            parts.append(f"{duration(left)} left")
        return "  ".join(parts)

    def _seconds_left(self) -> float | None:
        first_step, first_time = self.first or (0, 0.0)
        done = self.line["step"] - first_step
        if done <= 0:
            return None
        return (time.monotonic() - first_time) / done * (self.total - self.line["step"])


def duration(seconds: float) -> str:
    """`0:07`, `12:05` or `3:00:00`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
