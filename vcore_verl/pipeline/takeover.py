"""Taking over what another run has computed already: SFT is the same whatever RL follows it. Imports no torch."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcore_verl.pipeline.stages import Stage, input_name
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import Run
from vcore_verl.runs.manifest import Manifest


@dataclass(frozen=True)
class Source:
    """A run whose result of a stage follows from the same things; `record` is its manifest's."""

    folder: Path
    record: dict[str, Any]


def find(stage: Stage, depends: dict[str, Any], run: Run, digests: Digests) -> Source | None:
    """Another run that has done `stage` from the same things, and has the result as it was left.

    An input that is not there yet counts as the same: it may be taken over too.
    """
    if not stage.before_rl:
        return None
    inputs = {input_name(path, run) for path in stage.inputs}
    known = {name: value for name, value in depends.items() if value is not None or name not in inputs}
    for folder in run.siblings:
        record = Manifest(folder / "manifest.json").stages.get(stage.name)
        if record is None or record["status"] != "done":
            continue
        theirs = record["depends"]
        if theirs.keys() != depends.keys() or known != {name: theirs[name] for name in known}:
            continue
        if record["artefacts"] == {path.name: digests.of(_there(path, run, folder)) for path in stage.artefacts}:
            return Source(folder, record)
    return None


def link(stage: Stage, source: Source, run: Run, without: Iterable[Path]) -> None:
    """Put the result into the stage's folder, which is not there, as further names of the same files.

    Neither run loses anything when the other's folder is moved or deleted. `without` are folders of other stages.
    """
    origin = _there(stage.folder, run, source.folder)
    left_out = {_there(folder, run, source.folder) for folder in without if folder.is_relative_to(run.dir)}
    partial = stage.folder.with_name(stage.folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(
        origin,
        partial,
        symlinks=True,
        ignore=lambda directory, names: [name for name in names if Path(directory) / name in left_out],
        copy_function=_link,
    )
    partial.rename(stage.folder)


def _there(path: Path, run: Run, folder: Path) -> Path:
    """Where the run in `folder` has what `run` has at `path`."""
    return folder / path.relative_to(run.dir)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # some network file systems give a file one name only
        shutil.copy2(source, target)
