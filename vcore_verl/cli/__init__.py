"""The command line: `python -m vcore_verl VERB ...`, or `vcore-verl VERB ...`. Imports no torch.

- `recipes`   verbs on a recipe: run, sweep, data, show, plan, doctor
- `results`   verbs on existing runs: report, compare, view, view weights, migrate, eval

Each verb imports its implementation after its arguments have been parsed, so that bad arguments fail at once.
"""

import argparse
import signal
import sys
import textwrap
from types import FrameType

from rich.console import Console

from vcore_verl.cli import recipes, results
from vcore_verl.config.errors import InputError
from vcore_verl.runs.lock import Locked
from vcore_verl.runtime.process import StageFailed

PROGRAM = "python -m vcore_verl"
BAD_INPUT = 2
INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """Run one verb and return its exit code. Errors go to stderr; bad input is reported in one line."""
    args = _parse(sys.argv[1:] if words is None else words)
    signal.signal(signal.SIGINT, _interrupt)  # background jobs of a shell script start with it ignored
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        return args.call(args) or 0
    except (InputError, Locked) as error:
        return _fail(str(error), BAD_INPUT)
    except StageFailed as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("stopped; run the same command again to continue", INTERRUPTED)


def _parse(words: list[str]) -> argparse.Namespace:
    parser, verbs = _parsers()
    name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in verbs), None)
    if name is None:
        return parser.parse_args(words)  # prints the help or an error, and exits
    # Not through the main parser: only this method accepts options between `key=value` words.
    return verbs[name].parse_intermixed_args(words[len(name.split()) :])


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Supervised fine-tuning, then reinforcement learning, from one recipe.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB", help="one of those below; VERB --help explains its options")
    verbs.required = True
    for module in (recipes, results):
        module.add_verbs(verbs)
    parser.epilog = "verbs:\n" + "\n".join(map(_summary, verbs.choices.values()))
    return parser, dict(verbs.choices)


def _summary(verb: argparse.ArgumentParser) -> str:
    """A verb's usage and its one-line description."""
    usage = " ".join(verb.format_usage().split()).removeprefix(f"usage: {PROGRAM} ").replace(" [-h]", "")
    lines = textwrap.fill(usage, 100, initial_indent="  ", subsequent_indent=" " * 6)
    return f"{lines}\n      {verb.description}"


def _fail(message: str, code: int) -> int:
    Console(stderr=True).print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
