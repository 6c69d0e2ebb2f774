"""The base model from the hub: fetched file by file into the hub's cache, and linked into the run. Imports no torch."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, model_info, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import filter_repo_objects

from vcore_verl.config.errors import InputError

WANTED = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
UNWANTED = ["*/*", "consolidated*"]  # the publishers' own formats, beside Hugging Face's


class HubError(InputError):
    """A model that the hub does not give; the message is one line that says what to do."""


def fetch(hub_id: str, target: Path, progress: Path) -> None:
    """Make `target` a directory of links to the files of `hub_id` in the cache; one line of `progress` a file.

    What the cache holds is not fetched again; with HF_HUB_OFFLINE set, it has to hold all. Raises `HubError` where the
    hub cannot be reached, knows no such model, or wants its terms to be accepted.
    """
    try:
        files = list(_cached(hub_id) if constants.HF_HUB_OFFLINE else _downloaded(hub_id, progress))
    except GatedRepoError as error:
        raise HubError(
            f"{hub_id} is only for those who accept its terms: do so on the model's page, then `hf auth login` (or set "
            "HF_TOKEN), and call again"
        ) from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"the hub knows no model {hub_id}, or not to you: check model.path, or `hf auth login`"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise HubError(
            f"{hub_id} cannot be fetched ({str(error).splitlines()[0]}): put a copy of the checkpoint on this machine "
            "and set model.path to its directory"
        ) from error
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
    with progress.open("w") as log:
        for step, name in enumerate(names, start=1):
            yield Path(hf_hub_download(hub_id, name))
            log.write(json.dumps({"step": step, "total": len(names)}) + "\n")
            log.flush()
