"""The statements of OpenCodeReasoning-2, which names them by set, split and position only.

A join by position breaks in silence when a set is uploaded again. So the sets are read at fixed revisions, those at
which others joined them; the number of rows of each split is checked; and so is every set's share of traces that use
rare words of the statement joined to them. Imports no torch.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import sqrt
from pathlib import Path

from vcore_verl.data.evaluated import name, names
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import SAMPLES, Published, Row, mirror_folder, open_published

# nvidia/OpenCodeReasoning-2 itself.
REVISION = "eadf535931451525f3e5621d0f960c240bc62fd9"

MIN_AGREEING = 0.95  # of a set's traces
CHECKED = 1000  # traces of each set, the first ones
_DECIDED_AT = (100, CHECKED)  # and at the end of the rows, from so many traces on:
_MIN_DECIDED = 20
_FIRST_WORDS = 400  # of a trace: those that retell the task
_SHARED_WORDS = 2
_RARE = 0.02  # of a split's statements
_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True)
class StatementSet:
    """A set that OpenCodeReasoning-2 takes statements from.

    `dataset` is its name there, `files` the pattern of a split's files, `rows` the number of rows of each split.
    """

    dataset: str
    hub_id: str
    revision: str
    files: str
    rows: dict[str, int]
    columns: tuple[str, ...]
    statement: Callable[[Row], str]
    names: Callable[[Row], frozenset[str]]

    def published(self, split: str) -> Published:
        """Where a split is published; its other columns, tests mostly, are a thousand times as large."""
        return Published(self.hub_id, split, files=(self.files.format(split=split),), projected=True)


_FORMATS = (("Input", "input_format"), ("Output", "output_format"))


def _codeforces(row: Row) -> str:
    """Description, formats, examples and note, in the order in which OpenCodeReasoning's authors put them together."""
    if not row["description"]:
        return ""
    parts = [row["description"]]
    parts += [f"{title}\n\n{row[key]}" for title, key in _FORMATS if row[key]]
    if row["examples"]:
        parts.append("Examples")
        parts += [f"{key.title()}\n\n{example[key]}" for example in row["examples"] for key in ("input", "output")]
    if row["note"]:
        parts.append(f"Note\n\n{row['note']}")
    return "\n\n".join(parts)


def _code_contests_names(row: Row) -> frozenset[str]:
    """Codeforces problems are named "1575_A. Another Sorting Problem" there."""
    match = re.match(r"(\d+)_([A-Z]\d?)\. ", row["name"] or "")
    return name("codeforces", f"{match[1]}/{match[2]}") if match else frozenset()


SETS = (
    StatementSet(
        dataset="taco",
        hub_id="BAAI/TACO",
        revision="d593ed0a2becbbc952230bb89be09189bf1056dc",
        files="ALL/{split}-*.parquet",
        rows={"train": 25_443, "test": 1_000},
        columns=("question", "url"),
        statement=lambda row: row["question"] or "",
        names=lambda row: names(row["url"] or ""),
    ),
    StatementSet(
        dataset="apps",
        hub_id="codeparrot/apps",
        revision="21e74ddf8de1a21436da12e3e653065c5213e9d1",
        files="{split}.jsonl",
        rows={"train": 5_000, "test": 5_000},
        columns=("question", "url"),
        statement=lambda row: row["question"] or "",
        names=lambda row: names(row["url"] or ""),
    ),
    StatementSet(
        dataset="code_contests",
        hub_id="deepmind/code_contests",
        revision="802411c3010cb00d1b05bad57ca77365a3c699d6",
        files="data/{split}-*.parquet",
        rows={"train": 13_328, "valid": 117, "test": 165},
        columns=("description", "name"),
        statement=lambda row: row["description"] or "",
        names=_code_contests_names,
    ),
    StatementSet(
        dataset="open-r1/codeforces",
        hub_id="open-r1/codeforces",
        revision="fbe3f6e903ee854eec2e69e9d96d0306cde59baf",
        files="data/{split}-*.parquet",
        rows={"train": 9_556, "test": 468},
        columns=("id", "description", "input_format", "output_format", "examples", "note"),
        statement=_codeforces,
        names=lambda row: name("codeforces", row["id"] or ""),
    ),
)

# The rows of a split of a set, in their order.
Read = Callable[[StatementSet, str], Iterable[Row]]


@dataclass
class _Split:
    """The statements of one split by position, and the words that few of them have."""

    statements: list[tuple[str, frozenset[str]]]
    rare: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        counts = Counter(word for statement, _ in self.statements for word in words(statement))
        most = max(1, _RARE * len(self.statements))
        self.rare = frozenset(word for word, number in counts.items() if number <= most)


class Statements:
    """Statements by set, split and position; each split is read when it is first asked for.

    `whole`: the splits must have the number of rows of the pinned revisions, which samples have not.
    """

    def __init__(self, read: Read, whole: bool = True) -> None:
        self.read = read
        self.whole = whole
        self._splits: dict[tuple[str, str], _Split] = {}

    def at(self, dataset: str, split: str, index: str) -> tuple[str, frozenset[str]]:
        """The statement and the names of its problem; "" for a position that the split lacks, or an empty statement.

        Raises `DataError` for a set or split that OpenCodeReasoning-2 did not have when this was written.
        """
        statements = self._split(dataset, split).statements
        position = int(index) if str(index).isdecimal() else -1
        return statements[position] if 0 <= position < len(statements) else ("", frozenset())

    def rare_words(self, dataset: str, split: str, statement: str) -> frozenset[str]:
        return words(statement) & self._split(dataset, split).rare

    def _split(self, dataset: str, split: str) -> _Split:
        if (dataset, split) not in self._splits:
            source = next((source for source in SETS if source.dataset == dataset), None)
            if source is None or split not in source.rows:
                known = ", ".join(f"{source.dataset} ({', '.join(source.rows)})" for source in SETS)
                raise DataError(
                    f"nvidia/OpenCodeReasoning-2 takes statements from split {split!r} of {dataset!r}, which is not "
                    f"one of {known}: use its revision {REVISION}"
                )
            self._splits[dataset, split] = _Split(list(self._rows(source, split)))
        return self._splits[dataset, split]

    def _rows(self, source: StatementSet, split: str) -> Iterator[tuple[str, frozenset[str]]]:
        number = 0
        for row in self.read(source, split):
            number += 1
            yield source.statement(row).strip(), source.names(row)
        if self.whole and number != source.rows[split]:
            raise DataError(
                f"split {split} of {source.hub_id} has {number:,} rows, but {source.rows[split]:,} at the revision "
                f"that nvidia/OpenCodeReasoning-2 refers to: use revision {source.revision}"
            )


def published_statements(mirror: Path | None) -> Statements:
    """The statements from the hub, or from the copies in `mirror`. Raises `DataError` when they are read."""

    def read(source: StatementSet, split: str) -> Iterable[Row]:
        return open_published(source.published(split), source.columns, mirror, source.revision).rows

    return Statements(read, whole=mirror != mirror_folder(SAMPLES))


def words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


@dataclass(frozen=True)
class Joined:
    """The rows of OpenCodeReasoning-2 with two more columns: `statement`, "" where there is none, and `names`.

    Can be iterated over any number of times. Raises `DataError` as soon as a set's traces do not fit its statements.
    """

    rows: Iterable[Row]
    statements: Statements

    def __iter__(self) -> Iterator[Row]:
        check = JoinCheck(self.statements)
        for row in self.rows:
            statement, known = self.statements.at(row["dataset"], row["split"], row["index"])
            check.add(row, statement)
            yield row | {"statement": statement, "names": known}
        check.finish()


class JoinCheck:
    """Counts, for each set, the traces that share rare words with the statement joined to them."""

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.seen: Counter[str] = Counter()
        self.agreeing: Counter[str] = Counter()

    def add(self, row: Row, statement: str) -> None:
        dataset = row["dataset"]
        if self.seen[dataset] >= CHECKED:
            return
        rare = self.statements.rare_words(dataset, row["split"], statement)
        if len(rare) < _SHARED_WORDS:
            return  # nothing tells this statement from others
        self.seen[dataset] += 1
        told = frozenset(islice((match[0] for match in _WORD.finditer(row["r1_generation"].casefold())), _FIRST_WORDS))
        self.agreeing[dataset] += len(rare & told) >= _SHARED_WORDS
        if self.seen[dataset] in _DECIDED_AT:
            self._decide(dataset)

    def finish(self) -> None:
        for dataset, seen in self.seen.items():
            if seen >= _MIN_DECIDED:
                self._decide(dataset)

    def _decide(self, dataset: str) -> None:
        seen, agreeing = self.seen[dataset], self.agreeing[dataset]
        expected = (1 - MIN_AGREEING) * seen
        if seen - agreeing > expected + 2 * sqrt(expected):  # two standard deviations, so that chance ends no run
            source = next(source for source in SETS if source.dataset == dataset)
            raise DataError(
                f"only {agreeing} of {seen} traces of nvidia/OpenCodeReasoning-2 fit the statements of {source.hub_id} "
                f"at their positions: use revision {REVISION} of the former and {source.revision} of the latter"
            )
