"""Content hashes of files and directories, cached by size and modification time. Imports no torch."""

import glob
import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Not hashed: nothing is computed from a model card, and the report adds results to it later.
MODEL_CARD = "README.md"
PARTIAL = ".partial"  # suffix of a file that is being written


class Digests:
    """SHA-256 by path. Like git's index, it reads a file again only if its size or modification time has changed."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.known: dict[str, list] = json.loads(cache.read_text()) if cache.exists() else {}

    def of(self, path: Path) -> str | None:
        """Digest of a file, of all files below a directory (except model cards and partial files), or of all files that
        match a pattern; None if there are none.
        """
        if path.is_file():
            return self._of_file(path)
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.is_file()]
            files = [file for file in files if file.name != MODEL_CARD and not file.name.endswith(PARTIAL)]
            origin = path
        else:
            files = [Path(name) for name in glob.glob(str(path))]
            origin = next(parent for parent in path.parents if "*" not in str(parent))
        if not files:
            return None
        lines = [f"{file.relative_to(origin)} {self._of_file(file)}" for file in sorted(files)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def save(self) -> None:
        self.cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.cache, json.dumps(self.known))

    def _of_file(self, path: Path) -> str:
        state = path.stat()
        key, stamp = str(path.absolute()), [state.st_size, state.st_mtime_ns]
        if key not in self.known or self.known[key][:2] != stamp:
            self.known[key] = [*stamp, file_sha(path)]
        return self.known[key][2]


def file_sha(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal; read in blocks, since a checkpoint need not fit in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Write `path` atomically: readers, even after a crash, see either the old content or the new.

    Several processes may write at once; the last one wins.
    """
    with replacement(path) as partial:
        partial.write_text(text)


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to `path`, which replaces it at the end and is removed if writing fails.

    Its name is unique, since runs of a recipe share files, even across machines.
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
