"""Verdicts per second of `reward.code` beside verl's prime_code reward, on the same programs in one run.

    python tests/benchmarks/code_reward_speed.py [programs per mix]

The programs are trivial, so that the cost of a verdict is measured and not theirs: `right` ones pass one test, `mixed`
are right, wrong, failing and unreadable in equal parts, `tests` pass ten tests each. One program is judged at a time,
so that verdicts per second are those of about one core; verdicts per CPU second count the time of this process and of
all that it started. Run it on a machine with nothing else to do.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.console import Console
from rich.table import Table
from verl.utils.reward_score import prime_code

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from reward.code import store  # noqa: E402
from reward.code.jail import Jail  # noqa: E402
from reward.code.reference import Reference  # noqa: E402
from reward.code.verdict import judge  # noqa: E402

RIGHT = "a, b = map(int, input().split())\nprint(a * b)"
KINDS = {
    RIGHT: True,
    "a, b = map(int, input().split())\nprint(a + b + 1000)": False,
    "a, b = map(int, input().split())\nprint(a * b // 0)": False,
    "a, b = map(int, input().split())\nprint(a * b": False,
}


class Program(NamedTuple):
    """A response with one program, the tests in both rewards' form, and whether it is right."""

    response: str
    tests: list[store.Test]
    right: bool

    def for_verl(self) -> dict[str, list[str]]:
        return {"inputs": [test.input for test in self.tests], "outputs": [test.output for test in self.tests]}


class Rate(NamedTuple):
    """Verdicts per second by the clock and per CPU second."""

    by_clock: float
    by_cpu: float


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rng = random.Random(0)
    mixes = {
        "right": [_program(rng, RIGHT, 1) for _ in range(count)],
        "mixed": [_program(rng, source, 1) for source in rng.choices(list(KINDS), k=count)],
        "tests": [_program(rng, RIGHT, 10) for _ in range(count)],
    }
    table = Table("mix", "reward", "verdicts/s", "verdicts/CPU-s")
    with tempfile.TemporaryDirectory() as folder:
        jail = Jail()

        def ours(program: Program) -> bool:
            reference = Reference(store.put(Path(folder), program.tests), len(program.tests))
            return judge(program.response, reference.dumps(), Path(folder), jail).status == "correct"

        def verls(program: Program) -> bool:
            # As verl calls it (reward_score/__init__.py:88); all tests passed is True or, if counted one by one, 1.0.
            return prime_code.compute_score(program.response, json.dumps(program.for_verl()), continuous=True)[0] == 1

        for name, programs in mixes.items():
            rates = [_measure(score, programs) for score in (ours, verls)]
            for label, rate in zip(("ours", "verl"), rates, strict=True):
                table.add_row(name, label, f"{rate.by_clock:.1f}", f"{rate.by_cpu:.1f}")
            ratio = Rate(*(mine / theirs for mine, theirs in zip(*rates, strict=True)))
            table.add_row(name, "ours / verl", f"{ratio.by_clock:.1f}", f"{ratio.by_cpu:.1f}", end_section=True)
        jail.close()
    Console().print(table)


def _measure(score: Callable[[Program], bool], programs: list[Program]) -> Rate:
    score(programs[0])  # starts what is started once
    clock, cpu = time.perf_counter(), _cpu_seconds()
    verdicts = [score(program) for program in programs]
    clock, cpu = time.perf_counter() - clock, _cpu_seconds() - cpu
    if verdicts != [program.right for program in programs]:
        sys.exit("a verdict is wrong: nothing was measured")
    return Rate(len(programs) / clock, len(programs) / cpu)


def _cpu_seconds() -> float:
    """Of this process, its descendants, and those of theirs that have ended."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)] + [os.times()]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def _program(rng: random.Random, source: str, num_tests: int) -> Program:
    pairs = [(rng.randrange(1000), rng.randrange(1000)) for _ in range(num_tests)]
    tests = [store.Test(f"{a} {b}\n", f"{a * b}\n") for a, b in pairs]
    return Program(f"<think>\nMultiply.\n</think>\n\n```python\n{source}\n```\n", tests, KINDS[source])


if __name__ == "__main__":
    main()
