"""The tests of programs on disk, by content: a row of a data set names its tests by hash, however large they are."""

import hashlib
import json
import os
import re
import tempfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

MAX_BYTES = 8_000_000

_CACHED_SETS = 8  # the responses to one problem are graded close together
_CACHED_BYTES = 8_000_000  # of a file; an evaluation problem's tests may be gigabytes, and are read for each response
_SHA = re.compile(r"[0-9a-f]{64}")


class Test(NamedTuple):
    """What a program reads and must answer; for a function, JSON: one argument on each line, and the value."""

    input: str
    output: str


def put(folder: Path, tests: Sequence[Test], max_bytes: int = MAX_BYTES) -> str:
    """Write `tests` below `folder`, unless they are there, and return the hash that names them.

    Raises:
        ValueError: there are no tests, they exceed `max_bytes`, or they hold text that is not Unicode.
    """
    if not tests:
        raise ValueError("a problem without tests accepts every program: drop it")
    size = sum(len(text) for test in tests for text in test)
    if size <= max_bytes:  # characters, so that nothing far too large is encoded
        try:
            content = _canonical(tests)
        except UnicodeEncodeError as error:
            raise ValueError(f"tests must be Unicode text, but hold {error.object[error.start]!r}") from None
        size = len(content)
    if size > max_bytes:
        raise ValueError(
            f"{len(tests)} tests of {size / 1e6:.1f} MB, at most {max_bytes / 1e6:.1f} MB: drop the problem"
        )
    sha = hashlib.sha256(content).hexdigest()
    path = _path(folder, sha)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, zlib.compress(content, 6))
    return sha


def get(folder: Path, sha: str) -> tuple[Test, ...]:
    """The tests that `put` named `sha`.

    Raises:
        FileNotFoundError: `folder` does not hold them.
        ValueError: the file is not what was written.
    """
    path = _path(folder, sha)
    large = path.is_file() and path.stat().st_size > _CACHED_BYTES
    return _read(path, sha) if large else _cached(path, sha)


def _read(path: Path, sha: str) -> tuple[Test, ...]:
    try:
        content = zlib.decompress(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: prepare the data again, or copy the whole folder of tests"
        ) from None
    except zlib.error:
        content = b""
    if hashlib.sha256(content).hexdigest() != sha:
        raise ValueError(f"{path} is damaged: delete it and prepare the data again")
    return tuple(Test(*pair) for pair in json.loads(content))


_cached = lru_cache(_CACHED_SETS)(_read)


def _canonical(tests: Sequence[Test]) -> bytes:
    return json.dumps([[test.input, test.output] for test in tests], ensure_ascii=False, separators=(",", ":")).encode()


def _path(folder: Path, sha: str) -> Path:
    if not _SHA.fullmatch(sha):
        raise ValueError(f"tests are named by 64 hexadecimal digits, not {sha[:80]!r}")
    return Path(folder) / sha[:2] / f"{sha}.json.z"


def _write_whole(path: Path, content: bytes) -> None:
    """Readers see the whole file or none, also when two processes write it or one is killed."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
