"""What a probe batch costs and what it is worth: its size, cut and derivative against exact utilities.

    python tests/benchmarks/probe_table.py [--stages 0 20 60 --repeats 8] [--model DIR --data FILE.parquet --lora 8]

Prints for every setting what a VCORE step costs, in SFT steps of 32 sequences (`--batch`), and how its utilities and
the weights at 0.1 nats compare with those of the exact derivative along the gradient of 512 other sequences
(`--population`): Spearman correlation over all tokens, and total variation distance, mean over sequences. Then it names
the cheapest setting whose distance is within 10 % of the best. Cuts are shares of the data's mean length. A smaller
batch is the beginning of a larger one; the largest is redrawn for every repeat. A stage is a number of SFT steps.

Costs are processor time on a CPU, medians over rounds in which every part runs once. The search for a step of a
difference, every 20 steps, is counted. `--model` takes a checkpoint, `--data` examples with `messages`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import torch
from bench import BF16, hardware, make_batch, make_start, make_trainer, start_process_group, table
from scipy.stats import spearmanr
from torch import Tensor

from vcore_verl.config.overrides import merge
from vcore_verl.objectives import gibbs_weights
from vcore_verl.objectives.packed import lengths, sequence_sum
from vcore_verl.sft.loss import Selection
from vcore_verl.sft.probe import direction as directions
from vcore_verl.sft.probe import passes
from vcore_verl.sft.probe.step_size import CHECK_EVERY, StepSize

KL_BUDGET = 0.1
CUTS = {"1/4": 0.25, "1/2": 0.5, "whole": None}
DERIVATIVES = ("jvp", "central", "forward")
CLOSE = 1.1  # times the best distance
Setting = tuple[int, str, str]  # sequences, cut, derivative
EXACT: Setting = (0, "whole", "jvp")


class Laboratory:
    """A model in training with uniform weights, and three disjoint parts of its data: for the exact gradient, for the
    batch whose tokens are weighted, and for probe batches.
    """

    def __init__(self, start: Path, args: argparse.Namespace):
        # A budget of 0 weighs uniformly; the probe's parts are there to be called.
        init = {"name": "vcore", "kl_budget": 0.0, "probe": {"every": 10**9}}
        self.size = args.batch
        data = {"train_batch_size": self.size, "max_length": args.longest, "truncation": "right"}
        changes: dict[str, Any] = {
            "data": data | {"max_token_len_per_gpu": args.tokens},
            "optim": {"lr": args.learning_rate, "lr_scheduler_type": "constant"},
            "model": {"lora_rank": args.lora, "lora_alpha": 2 * args.lora},
        }
        self.trainer = make_trainer(start, init, **merge(changes, BF16 if args.bf16 else {}))
        self.worker, self.engine = self.trainer.training_client, self.trainer.engine
        self.probe: Any = self.worker.probe
        self.generator = torch.Generator().manual_seed(0)
        order = torch.randperm(len(self.trainer.train_dataset), generator=self.generator).tolist()
        self.population, self.others = order[: args.population], order[args.population + self.size :]
        self.batch = make_batch(self.trainer, order[args.population :][: self.size])
        self.selection = Selection.of(self.batch)
        tokens = make_batch(self.trainer, self.population)["input_ids"].offsets()[-1]
        self.mean_length = int(tokens) / args.population
        self.begin_stage()

    def begin_stage(self) -> None:
        self.step_sizes: dict[Setting, StepSize] = {}  # each setting searches its own, as a training would
        with self.engine.train_mode():
            self.here_P = passes.log_probs(self.engine, self.batch).values()

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.worker.train_batch(make_batch(self.trainer, self.draw(self.size)))
        self.begin_stage()

    def draw(self, size: int) -> list[int]:
        chosen = torch.randint(len(self.others), (size,), generator=self.generator).tolist()
        return [self.others[index] for index in chosen]

    def gradient(self, indices: list[int], cut: str = "whole") -> passes.Direction:
        """Clipped, as a probe's."""
        share = CUTS[cut]
        cutoff = None if share is None else max(2, round(share * self.mean_length))
        with self.engine.train_mode():
            found = passes.gradient(self.engine, make_batch(self.trainer, indices, cutoff))
        return directions.clipped(found, self.probe.clip_grad)

    def utilities(self, direction: passes.Direction, setting: Setting = EXACT) -> Tensor:
        """Of the batch's supervised tokens, (T,)."""
        self.probe.settings.derivative = setting[2]
        self.probe.step_size = self.step_sizes.setdefault(setting, StepSize(None))
        data = self.batch.copy()
        with self.engine.train_mode():
            self.probe._utilities(data, direction)
        if "utility" in data:
            utility_P = data["utility"].values()
        else:  # in training by the loss, from the training pass's own log-probabilities
            utility_P = (data["perturbed_log_probs"].values() - self.here_P) / data["epsilon"]
        return utility_P[self.selection.supervised_P].float()

    def distance(self, utility_T: Tensor, exact_T: Tensor) -> float:
        """Total variation between the two weightings, mean over sequences."""
        ends_S1 = self.selection.cu_seqlens_S1
        first_T, second_T = (gibbs_weights(x, ends_S1, kl_budget=KL_BUDGET) for x in (utility_T, exact_T))
        total_S = sequence_sum((first_T - second_T).abs(), ends_S1) / lengths(ends_S1) / 2
        return float(total_S.mean())

    def compare(self, sizes: list[int], repeats: int) -> dict[Any, list[tuple[float, float]]]:
        """Setting, and references by name -> (Spearman, distance) of each repeat."""
        exact_T = self.utilities(self.gradient(self.population))
        found: dict[Any, list[tuple[float, float]]] = {"uniform": [(0.0, self.distance(0 * exact_T, exact_T))]}

        def record(name: Any, utility_T: Tensor) -> None:
            rank = float(spearmanr(utility_T.cpu(), exact_T.cpu())[0])
            found.setdefault(name, []).append((rank, self.distance(utility_T, exact_T)))

        for _ in range(repeats):
            drawn = self.draw(max(sizes))
            for size, cut in product(sizes, CUTS):
                direction = self.gradient(drawn[:size], cut)
                for derivative in DERIVATIVES:
                    record((size, cut, derivative), self.utilities(direction, (size, cut, derivative)))
        record("as many others", self.utilities(self.gradient(self.draw(len(self.population)))))
        return found

    def costs(self, sizes: list[int], rounds: int) -> dict[Setting, float]:
        """Seconds of a step with each setting, relative to an SFT step in the same round."""
        drawn, direction = self.draw(max(sizes)), self.gradient(self.draw(self.size))
        found: dict[Setting, list[float]] = {}
        for _ in range(rounds):
            step = seconds(lambda: self.worker.train_batch(make_batch(self.trainer, self.draw(self.size))))
            derivatives = {name: self.derivative_seconds(direction, name) for name in DERIVATIVES}
            for size, cut in product(sizes, CUTS):
                gradient = seconds(lambda size=size, cut=cut: self.gradient(drawn[:size], cut))
                for name, derivative in derivatives.items():
                    found.setdefault((size, cut, name), []).append(1 + (gradient + derivative) / step)
        return {setting: statistics.median(ratios) for setting, ratios in found.items()}

    def derivative_seconds(self, direction: passes.Direction, derivative: str) -> float:
        """Mean over the steps from one check of a difference's step to the next."""
        setting, found = (0, "whole", derivative), []
        self.utilities(direction, setting)  # the search at the start of a training
        for countdown in (0, 1):
            self.step_sizes[setting].countdown = countdown
            found.append(seconds(lambda: self.utilities(direction, setting)))
        return found[1] + max(found[0] - found[1], 0.0) / CHECK_EVERY


def seconds(work: Callable[[], Any]) -> float:
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    _synchronise()
    began = clock()
    work()
    _synchronise()
    return clock() - began


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def start_directory(args: argparse.Namespace, directory: Path) -> Path:
    if args.model is None:
        return make_start(directory, args.hidden, args.layers, steps=60, examples=3 * args.population)
    (directory / "base").symlink_to(args.model.resolve())
    (directory / "sft.parquet").symlink_to(args.data.resolve())
    return directory


def cheapest(costs: dict[Setting, float], distances: dict[Setting, float]) -> Setting:
    """The cheapest setting whose distance is close to the best."""
    best = min(distances.values())
    return min((setting for setting in costs if distances[setting] <= CLOSE * best), key=costs.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--stages", type=int, nargs="+", default=[0, 20, 60])
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="of the timing")
    parser.add_argument("--population", type=int, default=512)
    parser.add_argument("--model", type=Path, help="measure this checkpoint instead of a small one made here")
    parser.add_argument("--data", type=Path, help="with examples from this file")
    parser.add_argument("--lora", type=int, default=0, help="rank of adapters")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--longest", type=int, default=512, help="tokens of an example at most")
    parser.add_argument("--tokens", type=int, default=8192, help="of a micro-batch at most")
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    if (args.model is None) != (args.data is None):
        parser.error("give --model and --data, or neither")
    start_process_group()
    with tempfile.TemporaryDirectory() as directory:
        laboratory, done, found = Laboratory(start_directory(args, Path(directory)), args), 0, []
        for stage in args.stages:
            laboratory.train(stage - done)
            done = stage
            found.append(laboratory.compare(args.sizes, args.repeats))
        costs = laboratory.costs(args.sizes, args.rounds)
    model = args.model.name if args.model else f"hidden {args.hidden}, {args.layers} layers"
    print(f"{hardware()}; {model}, mean length {laboratory.mean_length:.0f}, population {args.population}\n")
    report(args.stages, found, costs)


def report(stages: list[int], found: list[dict[Any, list[tuple[float, float]]]], costs: dict[Setting, float]) -> None:
    rows = []
    for name in found[0]:
        cells = [summary(part[name]) for part in found]
        label = [*name, f"{costs[name]:.2f}"] if isinstance(name, tuple) else [name, "", "", ""]
        rows.append([*label, *cells])
    print(table(["sequences", "cut", "derivative", "cost", *(f"step {stage}" for stage in stages)], rows))
    print("\nCells: Spearman correlation / distance of the weights ± its standard error.")
    distances = {s: statistics.mean(d for part in found for _, d in part[s]) for s in costs}
    size, cut, derivative = chosen = cheapest(costs, distances)
    print(
        f"Cheapest within {CLOSE - 1:.0%} of the best mean distance, {min(distances.values()):.3f}: "
        f"{size} sequences, {cut}, {derivative} ({distances[chosen]:.3f} at {costs[chosen]:.2f} SFT steps)."
    )


def summary(values: list[tuple[float, float]]) -> str:
    ranks, distances = zip(*values, strict=True)
    error = f" ± {statistics.stdev(distances) / len(distances) ** 0.5:.3f}" if len(distances) > 1 else ""
    return f"{statistics.mean(ranks):.2f} / {statistics.mean(distances):.3f}{error}"


if __name__ == "__main__":
    main()
