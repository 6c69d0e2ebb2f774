"""Downloads the base model file by file into the hub's cache, and links it into the run. Imports no torch."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, model_info, snapshot_download
from huggingface_hub.utils import filter_repo_objects

from vcore_verl.data.hub import hub_errors
from vcore_verl.runs.metrics_file import MetricsFile

WANTED = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
UNWANTED = ["*/*", "consolidated*"]  # the publishers' own formats


def fetch(hub_id: str, target: Path, progress: Path) -> None:
    """Make `target` a directory of links to the cached files of `hub_id`; writes a line of `progress` for each file.

    Cached files are not downloaded again; with HF_HUB_OFFLINE set, all must be cached. Raises `DataError` if the hub
    cannot be reached, has no such model, or the model is gated.
    """
    instead = "put a copy of the checkpoint on this machine and set model.path to its directory"
    with hub_errors(f"model {hub_id}", "model.path", instead):
        files = list(_cached(hub_id) if constants.HF_HUB_OFFLINE else _downloaded(hub_id, progress))
    partial = target.with_name(target.name + ".partial")
    for folder in (partial, target):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir(parents=True)
    for file in files:
        (partial / file.name).symlink_to(file.resolve())
    partial.rename(target)


def _cached(hub_id: str) -> Iterator[Path]:
    folder = Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=WANTED, ignore_patterns=UNWANTED))
    return (file for file in sorted(folder.iterdir()) if file.is_file())


def _downloaded(hub_id: str, progress: Path) -> Iterator[Path]:
    published = [sibling.rfilename for sibling in model_info(hub_id).siblings or []]
    names = sorted(filter_repo_objects(published, allow_patterns=WANTED, ignore_patterns=UNWANTED))
    log = MetricsFile(progress, len(names))
    for step, name in enumerate(names, start=1):
        yield Path(hf_hub_download(hub_id, name))
        log.log({}, step)
