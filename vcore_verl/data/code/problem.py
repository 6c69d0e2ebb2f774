"""A programming problem with its tests. Imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from reward.code.blocks import Language
from reward.code.compare import Comparison
from reward.code.reference import Reference
from reward.code.store import Test
from vcore_verl.data.rows import Messages

MAX_TEST_BYTES = 8_000_000  # of a training problem; those of evaluation problems may be larger

# Whether a program passes all tests of a problem: the jail and the comparison, from outside this package.
Passes = Callable[["CodeProblem", str], bool]


class Unusable(ValueError):
    """A row that makes no problem; the message is the reason, the same for all rows that have it."""


@dataclass(frozen=True)
class CodeProblem:
    """A problem that a program solves.

    `statement` is the task alone, which is compared for decontamination; `prompt` is the policy's input. `function` is
    what the tests call, with one JSON value per line of a test's input, in the notation of `reward.code.inside.values`
    where `compare` is one of `reward.code.compare.TYPED`; None: programs read the input. `names` are those of the
    problem on the sites that published it (`evaluated.names`); `solutions` are programs said to be right.
    `unjudged` says why no program can be judged right; such an evaluation problem has no tests and counts as failed.
    """

    problem_id: str
    statement: str
    prompt: Messages
    tests: tuple[Test, ...]
    language: Language = "python"
    function: str | None = None
    compare: Comparison = "lines"
    cpu_seconds: float = 6.0
    memory_mb: int = 1024
    names: frozenset[str] = frozenset()
    solutions: tuple[str, ...] = ()
    unjudged: str = ""

    def reference(self, stored: str) -> Reference:
        """The ground truth of the problem's row, for its tests in the store under the hash `stored`."""
        return Reference(
            tests=stored,
            num_tests=len(self.tests),
            function=self.function,
            compare=self.compare,
            cpu_seconds=self.cpu_seconds,
            memory_mb=self.memory_mb,
            language=self.language,
        )

    def with_tests(self, tests: tuple[Test, ...]) -> "CodeProblem":
        return replace(self, tests=tests)

    def not_judged(self, why: str) -> "CodeProblem":
        return replace(self, tests=(), unjudged=why)
