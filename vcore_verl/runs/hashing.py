"""Content hashes of files and directories, remembered by size and modification time. Imports no torch."""

import glob
import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A model card describes the files beside it, and the report adds results to it: nothing is computed from it.
MODEL_CARD = "README.md"
PARTIAL = ".partial"  # what a file's name ends in while it is written


class Digests:
    """SHA-256 by path. Like git's index: a file is read again only when its size or modification time has changed."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.known: dict[str, list] = json.loads(cache.read_text()) if cache.exists() else {}

    def of(self, path: Path) -> str | None:
        """Digest of a file, of all files but model cards and unfinished ones below a directory, or of those matching a
        pattern; None where there are none.
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
    """Write `path` so that a reader, or a crash, meets the old content or the new and nothing between.

    Any number of processes may do so at once; the last one's content stays.
    """
    with replacement(path) as partial:
        partial.write_text(text)


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place at the end, and is removed where writing it failed.

    Its name is its writer's own: runs of a recipe share files, also from several machines.
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
