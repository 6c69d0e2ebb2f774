"""Puzzles of programming: a line of integers, of which some are kept, changed, and reduced to one number.

A problem is a sentence such as `keep even, square, sum`; a response is short thinking and a Python program, which the
reward runs on hidden inputs. Their expected outputs are computed here, not by a program.

The base model writes right programs and, about as often, ones with a classic mistake. SFT on traces that are mostly
right shifts that, and RL has successes and failures in nearly every group.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from reward.code.reference import Reference
from reward.code.store import Test, put
from vcore_verl.builtin.task import Trace, joined, split_of

FILLERS = ("hmm. ", "ok. ", "so. ", "let me see. ")
SECONDS, MEMORY_MB = 2.0, 512
_LONGEST_LINE, _LARGEST = 8, 20


@dataclass(frozen=True)
class Part:
    """A step of a puzzle: its words, its Python, its function, and the Python of a classic mistake ("" for none)."""

    words: str
    code: str
    function: Callable[..., int | bool]
    mistaken: str = ""


KEEP = (
    Part("even", "x%2==0", lambda x: x % 2 == 0, "x%2"),
    Part("odd", "x%2", lambda x: x % 2 != 0, "x%2==0"),
    *(Part(f"above {k}", f"x>{k}", lambda x, k=k: x > k, f"x>={k}") for k in range(-9, 10)),
    *(Part(f"below {k}", f"x<{k}", lambda x, k=k: x < k, f"x<={k}") for k in range(-9, 10)),
)
CHANGE = (
    Part("square", "x*x", lambda x: x * x, "x*2"),
    Part("negate", "-x", lambda x: -x, "x"),
    *(Part(f"add {k}", f"x+{k}", lambda x, k=k: x + k, f"x-{k}") for k in range(1, 10)),
    *(Part(f"times {k}", f"x*{k}", lambda x, k=k: x * k, f"x+{k}") for k in range(2, 10)),
)
REDUCE = (
    Part("sum", "sum(v)", sum),
    Part("count", "len(v)", len, "sum(v)"),
    Part("largest", "max(v,default=0)", lambda v: max(v, default=0), "min(v,default=0)"),
    Part("smallest", "min(v,default=0)", lambda v: min(v, default=0), "max(v,default=0)"),
)


@dataclass(frozen=True)
class Problem:
    """Integers that pass all of `keep` are changed by `change` and reduced by `reduce`; 0 stands for no largest."""

    keep: tuple[Part, ...]
    change: Part
    reduce: Part

    @property
    def question(self) -> str:
        return f"keep {' and '.join(part.words for part in self.keep)}, {self.change.words}, {self.reduce.words}"

    def solution(self, line: list[int]) -> int:
        kept = [x for x in line if all(part.function(x) for part in self.keep)]
        return self.reduce.function([self.change.function(x) for x in kept])

    def tests(self) -> list[Test]:
        """Four lines that the question determines, one of which keeps nothing if there is such a line."""
        rng = Random(self.question)
        lines = [[rng.randint(-_LARGEST, _LARGEST) for _ in range(rng.randint(3, _LONGEST_LINE))] for _ in range(4)]
        dropped = [x for x in range(-_LARGEST, _LARGEST + 1) if not all(part.function(x) for part in self.keep)]
        lines[-1] = [rng.choice(dropped) for _ in range(3)]
        # The bounds themselves, where > and >= differ.
        lines[0] += [int(part.words.split()[-1]) for part in self.keep if " " in part.words]
        return [Test(" ".join(map(str, line)) + "\n", f"{self.solution(line)}\n") for line in lines]

    def ground_truth(self, tests: Path) -> str:
        """A reference to the tests, which are put into the folder `tests`."""
        cases = self.tests()
        return Reference(put(tests, cases), len(cases), cpu_seconds=SECONDS, memory_mb=MEMORY_MB).dumps()


@dataclass(frozen=True)
class Mixture:
    """How traces are written; rates are probabilities in [0, 1].

    wrong: share of traces whose program has one mistake. unread: of these, the share that forgets to read integers.
    filler: before each of the three parts. false_start: per trace, a part that is retracted at once.
    """

    wrong: float
    unread: float
    filler: float
    false_start: float


HABIT = Mixture(wrong=0.5, unread=0.3, filler=0.05, false_start=0.03)  # the base model's
SUPERVISED = Mixture(wrong=0.1, unread=0.3, filler=0.15, false_start=0.05)
SHARE_OF_PAIRS = 0.15  # of pretraining: problems with two conditions, which SFT and RL do not have


class Puzzles:
    """Implements `task.Task`. In domain one condition, out of domain two."""

    data_source = "code/puzzles"
    words = ()

    def pretraining(self, steps: int, batch_size: int, rng: Random) -> Iterator[list[tuple[Problem, Trace]]]:
        """Programs of mixed quality, as `HABIT` says."""
        for _ in range(steps):
            conditions = [2 if rng.random() < SHARE_OF_PAIRS else 1 for _ in range(batch_size)]
            batch = [next(_problems("pretrain", number, rng)) for number in conditions]
            yield [(problem, solve(problem, HABIT, rng)) for problem in batch]

    def draw(self, name: str, count: int, rng: Random) -> list[Problem]:
        """Distinct problems. Raises ValueError for more than the split has."""
        split = name if name in ("sft", "rl") else "test"
        seen: dict[str, Problem] = {}
        for problem in islice(_problems(split, 2 if name == "out_of_domain" else 1, rng), 100 * count):
            seen.setdefault(problem.question, problem)
            if len(seen) == count:
                return list(seen.values())
        raise ValueError(f"the puzzles have {len(seen)} problems for '{name}', {count} were asked for")

    def solve(self, problem: Problem, rng: Random) -> Trace:
        return solve(problem, SUPERVISED, rng)


def _problems(split: str, conditions: int, rng: Random) -> Iterator[Problem]:
    while True:
        problem = Problem(tuple(rng.sample(KEEP, conditions)), rng.choice(CHANGE), rng.choice(REDUCE))
        if split_of(problem.question) == split:
            yield problem


def solve(problem: Problem, mixture: Mixture, rng: Random) -> Trace:
    """A trace for `problem`: each part in thought, then the program, of the quality that `mixture` says."""
    keep = " and ".join(part.code for part in problem.keep)
    codes = {"if": keep, "then": problem.change.code, "last": problem.reduce.code}
    wrong, read = "", "map(int,input().split())"
    if rng.random() < mixture.wrong:
        mistaken = _mistaken(problem, keep)
        wrong = "read" if rng.random() < mixture.unread else rng.choice(sorted(mistaken))
        if wrong == "read":
            read = "input().split()"
        else:
            codes[wrong] = mistaken[wrong]
    retracted = rng.choice(list(codes)) if rng.random() < mixture.false_start else ""
    parts = [("<think>", "markup")]
    for name, code in codes.items():
        if rng.random() < mixture.filler:
            parts.append((rng.choice(FILLERS), "filler"))
        if name == retracted:
            parts.append((f"{name} {rng.choice(CHANGE).code} no. ", "false_start"))
        parts.append((f"{name} {code}. ", "mistake" if name == wrong else "step"))
    program = f"v=[{codes['then']} for x in {read} if {codes['if']}]\nprint({codes['last']})"
    parts += [("</think>\n", "markup"), ("```python\n", "step"), (program, "answer"), ("\n```", "step")]
    return joined(parts)


def _mistaken(problem: Problem, keep: str) -> dict[str, str]:
    """The parts in which a mistake is known, with the mistake."""
    first, *others = problem.keep
    found = {"if": " and ".join([first.mistaken, *(part.code for part in others)]), "then": problem.change.mistaken}
    return found | ({"last": problem.reduce.mistaken} if problem.reduce.mistaken else {})
