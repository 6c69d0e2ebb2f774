"""Run under torchrun by `test_reference`: log-probabilities under the initial model on ranks that share no files.

torchrun reference_caches.py START OUTPUT
"""

import shutil
from typing import Any

import laboratory  # beside this script
import torch
from torch import Tensor
from verl.utils import distributed

from vcore_verl.sft import reference


def references(**changes: Any) -> list[list[Tensor]]:
    """Of every rank: what its data set got. Each rank has base model and data in a directory of its own."""
    mine = laboratory.OUTPUT / f"rank{torch.distributed.get_rank()}"
    shutil.copytree(laboratory.START, mine, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.reference-*"))
    places = {"model": {"path": str(mine / "base")}, "data": {"train_files": [str(mine / "sft.parquet")]}}
    subject = laboratory.trainer({"name": "iw_sft"}, **laboratory.merge(places, changes))
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, subject.train_dataset.reference)
    return found


def caches() -> list[list[tuple[str, int]]]:
    """Of every rank: name and time of writing of the files that are left beside its data."""
    folders = (laboratory.OUTPUT / f"rank{rank}" for rank in range(torch.distributed.get_world_size()))
    return [
        [(file.name, file.stat().st_mtime_ns) for file in sorted(folder.glob("*.reference-*"))] for folder in folders
    ]


def main() -> None:
    distributed.initialize_global_process_group()
    results: dict[str, Any] = {"computed": references(), "first": caches(), "cached": references(), "second": caches()}
    results["bfloat16"] = references(**laboratory.BF16), caches()
    results["eager"] = references(model={"+override_config": {"attn_implementation": "eager"}}), caches()
    reference.version = lambda _: "another"
    results["packages"] = references(), caches()
    if torch.distributed.get_rank() == 0:
        torch.save(results, laboratory.OUTPUT / "references.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
