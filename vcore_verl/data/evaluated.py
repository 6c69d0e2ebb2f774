"""Evaluation problems, and whether a training problem is one of them: by its text, by words in a row, by its name.

Thirteen words in a row are the rule of GPT-3 (Brown et al., 2020, appendix C). What is compared of a problem, and how
many evaluation problems have to share words that identify none of them, its domain says. Imports no torch.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reward import Domain
from reward.domain import OVERLAP_WORDS

_WORD = re.compile(r"\w+")
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
    """The evaluation problems to exclude from training, compared as `domain` says; one method per rule, for the counts
    of each.
    """

    def __init__(self, problems: Iterable[Evaluated], domain: Domain) -> None:
        self.domain = domain
        problems = list(problems)
        told = {problem.key: domain.narrative(problem.statement) for problem in problems}
        self.texts = {domain.question_key(text) for text in told.values()}
        self.texts |= {domain.question_key(problem.statement) for problem in problems}
        counts = Counter(run for text in told.values() for run in set(word_runs(text)))
        shared = domain.boilerplate_from
        self.runs = {run for run, number in counts.items() if shared is None or number < shared}
        self.names = {name for problem in problems for name in problem.names | names(problem.statement)}

    def contains(self, statement: str) -> bool:
        """Whether the statement, or its narrative, is that of an evaluation problem, up to typesetting."""
        key, narrative = self.domain.question_key, self.domain.narrative
        return key(statement) in self.texts or key(narrative(statement)) in self.texts

    def overlaps(self, statement: str) -> bool:
        """Whether thirteen words in a row of the narrative are in that of an evaluation problem."""
        return any(run in self.runs for run in word_runs(self.domain.narrative(statement)))

    def named(self, statement: str, known: frozenset[str] = frozenset()) -> bool:
        """Whether the problem's known names, or links in its statement, are those of an evaluation problem."""
        return not self.names.isdisjoint(known | names(statement))


def word_runs(text: str) -> Iterator[tuple[str, ...]]:
    """All runs of `OVERLAP_WORDS` consecutive words, ignoring punctuation and operators."""
    words = _WORD.findall(text.casefold())
    return (tuple(words[start : start + OVERLAP_WORDS]) for start in range(len(words) - OVERLAP_WORDS + 1))
