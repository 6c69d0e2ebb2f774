"""Seconds per step and peak memory of every objective, as ratios to verl's own SFT trainer, and their targets.

    python tests/benchmarks/sft_speed.py [--hidden 512 --layers 4 --batch 8 --repeat 5] [--model DIR --bf16 --memory]

All trainers live in one process group and take turns, so that a change in the machine's speed hits all alike; the
median of the ratios within a round counts. On a CPU a second is a second of processor time, which other processes do
not stretch. `verl` is verl as it is: padded rows, sdpa, its loop over tokens for log-probabilities; targets are ratios
to it. `verl, packed` is verl's trainer with our attention and log-probabilities. `vcore` is recipes/init/vcore.yaml,
with B' in the same proportion to B. `--memory` runs each arm in a process of its own and adds its peak memory.
Operation counts (forward 1, backward 2) give the floors 7/3, 4.375/3 and 4/3 for the forward difference, as ratios to
`verl, packed`.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from bench import BF16, ROOT, hardware, make_batch, make_start, make_trainer, start_process_group, table
from verl.utils import torch_functional
from verl.workers.engine.fsdp import transformer_impl

from vcore_verl.config.overrides import merge

STOCK, PACKED = "verl", "verl, packed"
AS_IT_IS = {"model": {"+override_config": {"attn_implementation": "sdpa"}, "use_remove_padding": False}}
RECIPES_BATCH = 32  # sft.batch_size that recipes/init/vcore.yaml is written for
# Ratios to verl as it is, hidden size 512, two threads of a CPU.
TARGETS = {"sft": 1.02, "vcore": 1.75, "vcore fresh B, jvp": 2.45, "vcore fresh B/8, forward": 1.45}


def arms(batch: int) -> dict[str, dict | None]:
    """Name -> `init` section; None is verl's own."""
    default = yaml.safe_load((ROOT / "recipes" / "init" / "vcore.yaml").read_text())
    default["probe"]["batch_size"] = max(default["probe"]["batch_size"] * batch // RECIPES_BATCH, 1)
    found: dict[str, dict | None] = {
        STOCK: None,
        PACKED: None,
        "sft": {"name": "sft"},
        "dft": {"name": "dft"},
        "iw_sft": {"name": "iw_sft"},
        "vcore": default,
    }
    for derivative in ("forward", "jvp"):
        common = {"derivative": derivative, "epsilon": 1e-3}
        for label, probe in (
            ("fresh B", {"batch_size": batch}),
            ("fresh B/8", {"batch_size": max(batch // 8, 1)}),
            ("running", {"gradient": "running"}),
        ):
            found[f"vcore {label}, {derivative}"] = {"name": "vcore", "kl_budget": 0.1, "probe": common | probe}
    return found


def start_directory(args: argparse.Namespace, directory: Path) -> Path:
    make_start(directory, args.hidden, args.layers, steps=0, examples=4 * args.batch, lines=args.lines)
    if args.model:
        (directory / "base").rename(directory / "unused")
        (directory / "base").symlink_to(args.model.resolve())
    return directory


def measure(args: argparse.Namespace, names: list[str]) -> dict[str, list[float]]:
    """Seconds of each round's step, per arm."""
    changes: dict[str, Any] = {"data": {"train_batch_size": args.batch}} | (BF16 if args.bf16 else {})
    with tempfile.TemporaryDirectory() as directory:
        start = start_directory(args, Path(directory))
        trainers = {
            name: make_trainer(start, arms(args.batch)[name], **merge(changes, AS_IT_IS if name == STOCK else {}))
            for name in names
        }
        ours, verls = transformer_impl.logprobs_from_logits, torch_functional.logprobs_from_logits
        seconds: dict[str, list[float]] = {name: [] for name in names}
        clock = time.perf_counter if torch.cuda.is_available() else time.process_time
        for round_index in range(args.repeat + 1):
            for name, trainer in trainers.items():
                batch = make_batch(trainer, [k % len(trainer.train_dataset) for k in range(args.batch)])
                transformer_impl.logprobs_from_logits = verls if name == STOCK else ours
                _synchronise()
                began = clock()
                trainer.training_client.train_batch(batch)
                _synchronise()
                if round_index:  # the first step allocates optimizer state
                    seconds[name].append(clock() - began)
    return seconds


def peak_gigabytes() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    # Not ru_maxrss: a process that was started by a larger one begins with that one's.
    (kilobytes,) = re.findall(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) / 2**20


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lines", type=int, default=4, help="length of the examples, in worked solutions")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--model", type=Path, help="measure this checkpoint instead of a random one")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    start_process_group()
    if args.only:
        measure(args, [args.only])
        print(f"peak {peak_gigabytes():.3f}")
        return
    names = list(arms(args.batch))
    seconds = measure(args, names)
    rows = []
    for name in names:
        to_stock, to_packed = (ratio(seconds[name], seconds[other]) for other in (STOCK, PACKED))
        rows.append([name, f"{statistics.median(seconds[name]):.3f}", f"{to_stock:.2f}", f"{to_packed:.2f}"])
        target = TARGETS.get(name)
        rows[-1].append(f"{target}: {'met' if to_stock <= target else 'not met'}" if target else "")
    header = ["objective", "s / step", f"to {STOCK}", f"to {PACKED}", "target"]
    if args.memory:
        header += ["peak GiB", "ratio"]
        peaks = [_peak_of(name) for name in names]
        for row, peak in zip(rows, peaks, strict=True):
            row += [f"{peak:.2f}", f"{peak / peaks[0]:.2f}"]
    print(f"{hardware()}; hidden {args.hidden}, {args.layers} layers, batch {args.batch}, {args.repeat} rounds\n")
    print(table(header, rows))


def ratio(seconds: list[float], others: list[float]) -> float:
    """Median over rounds."""
    return statistics.median(one / other for one, other in zip(seconds, others, strict=True))


def _peak_of(name: str) -> float:
    command = [sys.executable, __file__, *sys.argv[1:], "--only", name, "--repeat", "1"]
    env = {key: value for key, value in os.environ.items() if key != "MASTER_PORT"}  # this process listens there
    output = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    return float(output.split("peak ")[-1])


if __name__ == "__main__":
    main()
