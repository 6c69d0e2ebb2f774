"""The base model from the hub: fetched file by file into the hub's cache, and linked into the run. Imports no torch."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, model_info, snapshot_download
from huggingface_hub.utils import filter_repo_objects

from vcore_verl.data.hub import hub_errors
from vcore_verl.runs.metrics_file import MetricsFile

WANTED = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
UNWANTED = ["*/*", "consolidated*"]  # the publishers' own formats, beside Hugging Face's


def fetch(hub_id: str, target: Path, progress: Path) -> None:
    """Make `target` a directory of links to the files of `hub_id` in the cache; one line of `progress` a file.

    What the cache holds is not fetched again; with HF_HUB_OFFLINE set, it has to hold all. Raises `DataError` where the
    hub cannot be reached, knows no such model, or wants its terms to be accepted.
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
