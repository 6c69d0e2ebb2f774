"""The console of all verbs, and the registration of a verb with the argument parser."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

console = Console(width=None if sys.stdout.isatty() else 120)  # a file or a pipe has no width


def say(text: str, style: str | None = None) -> None:
    """Print a line verbatim: no markup, no coloured numbers, no wrapping."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def add_verb(verbs: Any, name: str, call: Callable[[argparse.Namespace], int | None]) -> argparse.ArgumentParser:
    """Add the verb `name`, which runs `call`: it returns the exit code (None: 0), and its docstring is the help."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, description=call.__doc__)
    parser.set_defaults(call=call)
    return parser
