"""Errors of the hub as one line that says what to do, and whole data sets from it. Imports no torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vcore_verl.config.errors import InputError


class DataError(InputError):
    """A model or data set that is unavailable or malformed; the message says what to do."""


@contextmanager
def hub_errors(name: str, check: str, instead: str, open_copy: str | None = None) -> Iterator[None]:
    """Turn errors of the hub into `DataError`; `name` is the repository's kind and id, like `model Qwen/Qwen3-4B`.

    `check` names the recipe keys that may be wrong, `instead` how to do without the hub.
    """
    from httpx import HTTPError
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        copy = f", or use the open copy {open_copy}" if open_copy else ""
        raise DataError(
            f"{name} is gated: accept its terms on its page, run `hf auth login` (or set HF_TOKEN), and retry{copy}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DataError(f"{name} has no such revision: check {check}") from error
    except errors.RepositoryNotFoundError as error:
        raise DataError(f"the hub has no {name}, or not for you: check {check}, or run `hf auth login`") from error
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, HTTPError, OSError) as error:
        raise DataError(f"{name} cannot be read from the hub ({str(error).splitlines()[0]}): {instead}") from error


def dataset_folder(hub_id: str, alive: Callable[[], None]) -> Path:
    """The folder of all files of a data set in the hub's cache, downloaded one by one with a call of `alive` for each.

    Files that are cached are not downloaded again; with HF_HUB_OFFLINE, the cache must hold all of them. Raises
    `DataError`, see `hub_errors`.
    """
    from huggingface_hub import constants, dataset_info, hf_hub_download, snapshot_download

    with hub_errors(f"data set {hub_id}", "its name", f"copy it to DIR/{hub_id} and set data.mirror=DIR"):
        if not constants.HF_HUB_OFFLINE:
            info = dataset_info(hub_id)
            names = [file.rfilename for file in info.siblings or []]
            for name in names:
                hf_hub_download(hub_id, name, repo_type="dataset", revision=info.sha)
                alive()
            if names:  # without a revision, the cache records this commit as the newest, now that all files are there
                hf_hub_download(hub_id, names[-1], repo_type="dataset")
        return Path(snapshot_download(hub_id, repo_type="dataset", local_files_only=True))
