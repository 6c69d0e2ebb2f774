"""Seconds and memory of a training step: SFT alone, and with each kind of probe."""

import gc
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from verl.utils.device import get_torch_device

from vcore_verl.config.init_schema import Probe
from vcore_verl.config.recipe import Recipe
from vcore_verl.sft.gpu_check import subject
from vcore_verl.sft.gpu_check.record import DERIVATIVES, SHARES, Step, label
from vcore_verl.sft.gpu_check.sizes import Sizes
from vcore_verl.sft.worker import ObjectiveWorker

REPEAT = 3


def steps(recipe: Recipe, sizes: Sizes, folder: Path) -> Iterator[Step]:
    """Measure one kind of step after the other, each batch in one micro-batch. The model is saved in `folder`."""
    gc.collect()  # frees an earlier part's model, which would count towards this one's memory
    subject.save_model(sizes.cost_model, folder)
    worker = subject.worker(recipe, folder)
    for tokens in sizes.cost_tokens:
        lengths = sizes.sequences * (tokens // sizes.sequences,)
        worker.probe = None
        yield _measured(worker, lengths, sizes, None)
        for share in SHARES:
            probing = subject.batch(lengths[: len(lengths) // share], sizes.cost_model["vocab_size"], seed=2)
            for derivative in DERIVATIVES:
                settings = Probe(batch_size=len(probing), derivative=derivative)
                worker.attach_probe(settings, subject.always(probing))
                yield _measured(worker, lengths, sizes, label(derivative, share))


def _measured(worker: ObjectiveWorker, lengths: tuple[int, ...], sizes: Sizes, probe: str | None) -> Step:
    """Median time of `REPEAT` steps after a warm-up step, and the peak memory of the last."""
    device, seconds = get_torch_device(), []
    try:
        for _ in range(1 + REPEAT):
            data = subject.batch(lengths, sizes.cost_model["vocab_size"], seed=1)
            device.reset_peak_memory_stats()
            device.synchronize()
            began = time.perf_counter()
            worker.train_batch(data)
            device.synchronize()
            seconds.append(time.perf_counter() - began)
    except torch.OutOfMemoryError:
        worker.engine.optimizer_zero_grad()
        device.empty_cache()
        return Step(sum(lengths), probe, None, None)
    peak = device.max_memory_allocated() if torch.cuda.is_available() else None
    return Step(sum(lengths), probe, statistics.median(seconds[1:]), peak)
