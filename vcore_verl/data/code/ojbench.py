"""OJBench (Wang et al., 2025): Olympiad problems whose tests are archives on disk. Imports no torch.

`prompts/full.jsonl` has a row per problem and language; the folder of a problem has `init.yml`, in the format of the
DMOJ judge, which names an archive, the tests in it, and perhaps a checker. The tests of one problem may be a gigabyte,
so problems are read one by one. Checkers become comparisons of ours; problems that need another one, and the three that
the authors' judge skips, count as failed.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import yaml

from reward.code.blocks import Language
from reward.code.compare import Comparison
from reward.code.store import Test
from vcore_verl.data.code.problem import CodeProblem, Unusable
from vcore_verl.data.evaluated import Evaluated, name
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Published, Row
from vcore_verl.data.rows import user

HUB_ID = "He-Ren/OJBench_testdata"
PROMPTS = "prompts/full.jsonl"
PUBLISHED = Published(HUB_ID, "full", files=(PROMPTS,))
COLUMNS = ("id", "prompt", "dataset", "language", "difficulty")
SIZE = 232  # in each language

# Of each problem; ojbench/judger.py.
CPU_SECONDS = 10.0
MEMORY_MB = 1024
SKIPPED = ("nwerc2023_H", "swerc2023_L", "loj-3897")

MAX_BYTES = 2 * 2**30  # of one problem's tests, unpacked
_MAX_INIT_BYTES = 2**20
_FLOAT_DIGITS = 6  # DMOJ's default, and our tolerance
# Keys of init.yml whose problems need more than a comparison of two texts.
_OTHER_JUDGES = ("grader", "custom_judge", "interactive", "signature_grader", "generator", "unbuffered")


def problem(row: Row, root: Path) -> CodeProblem:
    """The problem of a row, with its tests from the data set's copy below `root`.

    Raises `DataError` for a copy that lacks them or is broken.
    """
    identifier, language = identifier_of(row), _language(row["language"])
    made = CodeProblem(
        problem_id=f"ojbench-{identifier}-{language}",
        statement=row["prompt"],
        prompt=user(row["prompt"]),  # as published: OJBench's prompts are whole
        tests=(),
        language=language,
        cpu_seconds=CPU_SECONDS,
        memory_mb=MEMORY_MB,
        names=_names(identifier),
    )
    if identifier in SKIPPED:
        return made.not_judged("OJBench's own judge skips it")
    folder = root / row["dataset"] / identifier
    try:
        init = _init(folder)
        return replace(made, compare=_compare(init), tests=tuple(_tests(init, folder)))
    except Unusable as error:
        return made.not_judged(str(error))


def evaluated(row: Row) -> Evaluated:
    """What training problems are compared with."""
    identifier = identifier_of(row)
    return Evaluated(f"ojbench-{identifier}", row["prompt"], _names(identifier))


def identifier_of(row: Row) -> str:
    """The name of a problem's folder: NOI's have numbers."""
    text = str(row["id"])
    return f"loj-{text}" if text.isdecimal() else text


def _names(identifier: str) -> frozenset[str]:
    site, _, number = identifier.partition("-")
    return name("loj", number) if site == "loj" else frozenset()


def _language(text: str) -> Language:
    for language in get_args(Language):
        if text == language:
            return language
    raise DataError(f"OJBench: {PROMPTS} has a prompt for {text!r}; known are cpp and python")


class _Loader(yaml.SafeLoader):
    """Plain values, without aliases: they make a kilobyte of YAML an object of gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases")
        return super().compose_node(parent, index)


def _init(folder: Path) -> dict[str, Any]:
    path = folder / "init.yml"
    if not path.is_file():
        raise DataError(f"OJBench: {path} is missing; copy {HUB_ID} whole, its folders NOI and ICPC included")
    if path.stat().st_size > _MAX_INIT_BYTES:
        raise DataError(f"OJBench: {path} is larger than {_MAX_INIT_BYTES:,} bytes")
    try:
        init = yaml.load(path.read_text(), _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"OJBench: {path} is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(init, dict) or not isinstance(init.get("test_cases"), list):
        raise DataError(f"OJBench: {path} lists no test_cases")
    return init


def _compare(init: dict[str, Any]) -> Comparison:
    """The comparison that does what the checker does. Raises `Unusable` if none does."""
    if other := [key for key in _OTHER_JUDGES if init.get(key)]:
        raise Unusable(f"it needs {', '.join(other)}")
    checkers = [init.get("checker"), *(case.get("checker") for case in _cases(init["test_cases"]))]
    modes = {_mode(checker) for checker in checkers if checker is not None} or {_mode("standard")}
    if len(modes) > 1:
        raise Unusable("its tests need different checkers")
    return modes.pop()


def _mode(checker: Any) -> Comparison:
    called = checker if isinstance(checker, dict) else {"name": checker}
    arguments = called.get("args") or {}
    if called.get("name") == "standard":
        return "tokens"
    if called.get("name") == "floats" and set(arguments.items()) <= {("precision", _FLOAT_DIGITS)}:
        return "floats"
    stated = ", ".join(f"{key}={value}" for key, value in arguments.items())
    raise Unusable(f"it needs the checker {called.get('name')}" + (f" ({stated})" if stated else ""))


def _cases(cases: list[Any]) -> Iterator[dict[str, Any]]:
    """The tests of a list in which some may be batches."""
    for case in cases:
        if not isinstance(case, dict):
            raise DataError(f"OJBench: a test case is {case!r} instead of a mapping with in and out")
        if isinstance(case.get("batched"), list):
            yield from (inner for inner in case["batched"] if isinstance(inner, dict))
        else:
            yield case


def _tests(init: dict[str, Any], folder: Path) -> Iterator[Test]:
    cases = [(str(case.get("in", "")), str(case.get("out", ""))) for case in _cases(init["test_cases"])]
    if not cases or not all(name for case in cases for name in case):
        raise Unusable("its init.yml does not name the input and output of every test")
    archive = folder / str(init.get("archive"))
    if archive.parent != folder or not archive.is_file():
        raise DataError(f"OJBench: {folder} lacks the archive {init.get('archive')!r} that its init.yml names")
    try:
        with zipfile.ZipFile(archive) as opened:
            _check_size(opened, [name for case in cases for name in case], archive)
            for given, expected in cases:
                yield Test(_text(opened, given), _text(opened, expected))
    except UnicodeDecodeError as error:
        raise Unusable("its tests are not UTF-8") from error
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"OJBench: {archive} cannot be read ({why}): download it again") from error


def _check_size(opened: zipfile.ZipFile, names: list[str], archive: Path) -> None:
    if (size := sum(opened.getinfo(name).file_size for name in names)) > MAX_BYTES:
        raise DataError(f"OJBench: the tests in {archive} inflate to {size:,} bytes, more than {MAX_BYTES:,}")


def _text(opened: zipfile.ZipFile, name: str) -> str:
    """The text of a member. No more is unpacked than the size it states, which a hostile archive can exceed."""
    with opened.open(name) as member:
        return member.read(opened.getinfo(name).file_size).decode()
