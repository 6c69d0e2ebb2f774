"""What decontamination compares of programming problems: their narrative, and their names on the sites of contests.

The rule for mathematics, thirteen words in a row, fires on the boilerplate of input and output ("the first line of each
test case contains two integers n and m ..."), so it is applied to the text before the first heading like Input or
Constraints, and a run of words that many evaluation problems share is ignored. Imports no torch.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from reward.code.problems import narrative, question_key
from vcore_verl.data.decontaminate import word_runs

SHARED = 3  # a run of words in so many evaluation problems identifies none of them

_URLS = (
    ("codeforces", re.compile(r"codeforces\.com/(?:contest|gym)/(\d+)/problem/([A-Za-z]\d?)"), "{}/{}"),
    ("codeforces", re.compile(r"codeforces\.com/problemset/problem/(\d+)/([A-Za-z]\d?)"), "{}/{}"),
    ("atcoder", re.compile(r"atcoder\.jp/contests/[\w-]+/tasks/(\w+)"), "{}"),
    ("leetcode", re.compile(r"leetcode\.com/problems/([\w-]+)"), "{}"),
    ("codechef", re.compile(r"codechef\.com/(?:problems|[\w-]+/problems)/(\w+)"), "{}"),
    ("loj", re.compile(r"loj\.ac/p(?:roblem)?/(\d+)"), "{}"),
)


def names(text: str) -> frozenset[str]:
    """The problems that `text` links to, as "site/name": "codeforces/1873/A", "atcoder/abc301_a"."""
    found = ((site, form.format(*match.groups())) for site, url, form in _URLS for match in url.finditer(text))
    return frozenset(f"{site}/{name}".casefold() for site, name in found)


def name(site: str, problem: str) -> frozenset[str]:
    """The name of a problem that its row states, in the form of `names`; none for an empty one."""
    return frozenset([f"{site}/{problem}".casefold()]) if problem else frozenset()


@dataclass(frozen=True)
class Evaluated:
    """An evaluation problem. Those of equal `key` are one problem, asked in several languages or benchmarks."""

    key: str
    statement: str
    names: frozenset[str] = frozenset()


class EvaluatedProblems:
    """The evaluation problems to exclude from training; one method per rule, for the counts of each."""

    def __init__(self, problems: Iterable[Evaluated]) -> None:
        problems = list(problems)
        told: dict[str, str] = {problem.key: narrative(problem.statement) for problem in problems}
        self.texts = {question_key(text) for text in told.values()}
        self.texts |= {question_key(problem.statement) for problem in problems}
        counts = Counter(run for text in told.values() for run in set(word_runs(text)))
        self.runs = {run for run, number in counts.items() if number < SHARED}
        self.names = {name for problem in problems for name in problem.names | names(problem.statement)}

    def contains(self, statement: str) -> bool:
        """Whether the statement, or its narrative, is that of an evaluation problem, up to typesetting."""
        return question_key(statement) in self.texts or question_key(narrative(statement)) in self.texts

    def overlaps(self, statement: str) -> bool:
        """Whether thirteen words in a row of the narrative are in that of an evaluation problem."""
        return any(run in self.runs for run in word_runs(narrative(statement)))

    def named(self, statement: str, known: frozenset[str] = frozenset()) -> bool:
        """Whether the problem's known names, or links in its statement, are those of an evaluation problem."""
        return not self.names.isdisjoint(known | names(statement))
