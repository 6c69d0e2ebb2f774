"""Rows of published data sets, streamed from the hub or from local files. Imports no torch.

`datasets` is imported only when rows are read: the command line imports this module and must start fast.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcore_verl.data.hub import DataError, hub_errors

Row = dict[str, Any]

SAMPLES = "builtin:samples"  # a mirror with a dozen rows per data set, written for this project
READERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


@dataclass(frozen=True)
class Published:
    """Where rows are published: hub id, split, configuration.

    `files` are names or patterns like `data/train-*.parquet`, of one type: for repositories that declare no splits or
    hold a program that declares them, which is never run. With `projected`, only the columns asked for are read of
    Parquet files.
    """

    hub_id: str
    split: str
    config: str | None = None
    files: tuple[str, ...] = ()
    projected: bool = False


BIG_MATH = Published("SynthLabsAI/Big-Math-RL-Verified", "train")
BIG_MATH_OPEN = Published("open-r1/Big-Math-RL-Verified-Processed", "train", "all")
# Open copies of gated data sets; Big-Math's lacks a seventh of the problems.
OPEN_COPIES = {BIG_MATH.hub_id: BIG_MATH_OPEN.hub_id}


@dataclass(frozen=True)
class Opened:
    """Rows that can be iterated over any number of times.

    `origin` is the hub id or a path; `revision` the commit on the hub, or for local files a hash of names and sizes.
    """

    origin: str
    revision: str
    rows: Iterable[Row]


def mirror_folder(mirror: str | None) -> Path | None:
    """The directory that `data.mirror` names."""
    if mirror is None:
        return None
    return Path(__file__).parents[1] / "builtin" / "samples" if mirror == SAMPLES else Path(mirror).expanduser()


def open_published(
    published: Published, columns: Iterable[str], mirror: Path | None = None, revision: str | None = None
) -> Opened:
    """The rows at `revision` (default: the newest), or those of the copy `mirror/<hub id>`.

    Raises `DataError` if the hub denies access or cannot be reached, the mirror has no such data set, or the rows lack
    one of `columns`.
    """
    columns = tuple(columns)
    projection = columns if published.projected else None
    if mirror is None:
        opened = _open_hub(published, revision, projection)
    else:
        files = mirrored_files(published, mirror)
        opened = open_files(files, str(mirror / published.hub_id), "data.mirror", projection)
    if missing := sorted(set(columns) - set(next(iter(opened.rows), {}))):
        raise DataError(f"{opened.origin} lacks the columns {', '.join(missing)}")
    return opened


def open_files(files: list[Path], origin: str, key: str, projection: tuple[str, ...] | None = None) -> Opened:
    """The rows of local files of one type, in order; `key` is the recipe key that names them.

    Of Parquet files, only the columns of the `projection` are read if there is one.
    """
    listing = "\n".join(f"{file.name} {file.stat().st_size}" for file in files)
    return Opened(origin, hashlib.sha256(listing.encode()).hexdigest(), _Rows(files, key, projection))


@dataclass(frozen=True)
class _Rows:
    """The rows of local files. Raises `DataError` for a broken file, with the recipe key, the file and the line."""

    files: list[Path]
    key: str
    projection: tuple[str, ...] | None

    def __iter__(self) -> Iterator[Row]:
        from datasets import load_dataset
        from datasets.exceptions import DatasetGenerationError

        names = [str(file) for file in self.files]
        try:
            yield from load_dataset(
                data_files=names, split="train", streaming=True, **_reader(self.files[0].name, self.projection)
            )
        except StopIteration as error:  # raised by `datasets` for files without rows
            raise DataError(f"{self.key}: {', '.join(names)} holds no rows") from error
        except (DatasetGenerationError, ValueError, OSError) as error:
            what = next(filter(None, map(_broken_line, self.files)), None)
            what = what or f"{', '.join(names)}: {str(error.__cause__ or error).splitlines()[0]}"
            raise DataError(f"{self.key}: {what}") from error


def _reader(file: str, projection: tuple[str, ...] | None) -> dict[str, Any]:
    """The arguments of `load_dataset` for files like `file`."""
    reader = READERS[Path(file).suffix]
    return {"path": reader} | ({"columns": list(projection)} if reader == "parquet" and projection else {})


def _broken_line(file: Path) -> str | None:
    """The first line of a JSONL file that is not JSON."""
    if file.suffix != ".jsonl":
        return None
    with file.open(errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                json.loads(line or "null")
            except ValueError as error:
                return f"line {number} of {file} is not JSON ({error})"
    return None


def local_files(path: Path) -> list[Path]:
    """The data files that `path` names: itself, or those below it.

    Raises `DataError` if there are none, or files of several types.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    known = [file for file in files if file.suffix in READERS]
    if not known:
        raise DataError(f"{path} is of an unknown kind or empty; give a file or a directory of {', '.join(READERS)}")
    if len(kinds := sorted({file.suffix for file in known})) > 1:
        raise DataError(f"{path} holds files of several kinds ({', '.join(kinds)}); name one file, or part them")
    return known


def mirrored_files(published: Published, mirror: Path) -> list[Path]:
    """The files of one configuration and split in `mirror/<hub id>`.

    They are those that `published.files` names, if it does. Otherwise, file paths of a hub repository contain both
    (`all/train-00000-of-00001.parquet`, `data/cot-00000-of-00144.parquet`); a name that occurs in no path is ignored.
    """
    folder = mirror / published.hub_id
    if not folder.is_dir() and mirror == mirror_folder(SAMPLES):
        sampled = ", ".join(sorted(str(path.relative_to(mirror)) for path in mirror.glob("*/*") if path.is_dir()))
        raise DataError(f"data.mirror={SAMPLES} has no sample of {published.hub_id}; it has {sampled}")
    if not folder.is_dir():
        raise DataError(
            f"data.mirror={mirror} holds no {published.hub_id}: on a machine with internet, hf download --repo-type "
            f"dataset {published.hub_id} --local-dir DIR/{published.hub_id}, and copy DIR there"
        )
    files = sorted(file for file in folder.rglob("*") if file.suffix in READERS)
    listed = [file for file in files if any(file.relative_to(folder).match(name) for name in published.files)]
    for name in filter(None, () if listed else (published.config, published.split)):
        files = [file for file in files if _names(file.relative_to(folder), name)] or files
    files = listed or files
    if len({file.suffix for file in files}) != 1:
        return local_files(folder)
    return files


def _names(file: Path, name: str) -> bool:
    """Whether a folder or the file is named `name`, or the file `name-<shard>`."""
    return name in (*file.parts, file.stem) or file.stem.startswith(f"{name}-")


def _open_hub(published: Published, revision: str | None, projection: tuple[str, ...] | None) -> Opened:
    from datasets import load_dataset
    from huggingface_hub import auth_check, dataset_info

    hub_id = published.hub_id
    instead = f"copy it to DIR/{hub_id} and set data.mirror=DIR"
    check = "data.sft, data.rl and their revisions"
    with hub_errors(f"data set {hub_id}", check, instead, OPEN_COPIES.get(hub_id)):
        auth_check(hub_id, repo_type="dataset")  # of a gated data set, only the description is public
        commit = dataset_info(hub_id, revision=revision).sha or revision or "main"
        if published.files:
            names = [f"hf://datasets/{hub_id}@{commit}/{name}" for name in published.files]
            reader = _reader(published.files[0], projection)
            return Opened(hub_id, commit, load_dataset(data_files=names, split="train", streaming=True, **reader))
        try:
            rows = load_dataset(hub_id, published.config, split=published.split, revision=commit, streaming=True)
        except RuntimeError as error:  # "Dataset scripts are no longer supported"
            raise DataError(f"data set {hub_id} is published as a program, which is not run: {instead}") from error
    return Opened(hub_id, commit, rows)
