"""How well a probe gradient estimates the population gradient, over training.

    python tests/benchmarks/probe_gradient.py [--hidden 128 --layers 4 --stages 0 20 60 150 --population 512]

For fresh batches of several sizes, running averages of the training gradients (newest 1: the previous step's) and
Adam's first moment: cosine with the gradient of a large sample, and Spearman correlation of the utilities that the two
give. `predicted` is the cosine that training logs from the agreement of two half-batches (probe/population_cosine).
Mean and standard deviation over repeats.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from bench import hardware, make_batch, make_start, make_trainer, start_process_group, table
from scipy.stats import spearmanr

from vcore_verl.sft.probe import direction as directions
from vcore_verl.sft.probe import passes

BATCH = 32
AVERAGES = (1.0, 0.9, 0.5, 0.1)


class Laboratory:
    """A model in training with uniform weights, and the gradients to compare at any moment."""

    def __init__(self, start: Path, population: int):
        # A budget of 0 weighs uniformly; the probe's parts are there to be called.
        init = {"name": "vcore", "kl_budget": 0.0, "probe": {"every": 10**9}}
        self.trainer = make_trainer(
            start, init, data={"train_batch_size": BATCH}, optim={"lr_scheduler_type": "constant"}
        )
        self.worker, self.engine = self.trainer.training_client, self.trainer.engine
        self.examples = len(self.trainer.train_dataset)
        self.population = population
        self.averages: dict[float, passes.Direction] = {}
        self.moment: passes.Direction = {}
        self.engine.optimizer.register_step_post_hook(self.remember)
        self.generator = torch.Generator().manual_seed(0)

    def draw(self, size: int) -> Any:
        return make_batch(self.trainer, torch.randint(self.examples, (size,), generator=self.generator).tolist())

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.worker.train_batch(self.draw(BATCH))

    def gradient(self, batch: Any) -> passes.Direction:
        with self.engine.train_mode():
            return passes.gradient(self.engine, batch)

    def utilities(self, batch: Any, direction: passes.Direction) -> torch.Tensor:
        with self.engine.train_mode():
            nested = passes.directional_derivatives(self.engine, batch, direction)
        return nested.values()[batch["loss_mask"].values().roll(-1).bool()]

    def remember(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Keep averages of the training gradients with several weights of the newest; 1 is the previous step's."""
        parameters = passes.trainable(self.engine)
        gradient = {name: p.grad.detach().clone() for name, p in parameters.items()}
        for newest in AVERAGES:
            old = self.averages.get(newest, gradient)
            self.averages[newest] = directions.weighted_mean(gradient, old, newest)
        self.moment = {name: optimizer.state[p]["exp_avg"].clone() for name, p in parameters.items()}

    def past(self) -> dict[str, passes.Direction]:
        """Directions that cost nothing: what training has already computed."""
        averages = {f"running, newest {newest}": average for newest, average in self.averages.items()}
        return averages | ({"Adam's first moment": self.moment} if self.moment else {})

    def compare(self, sizes: list[int], repeats: int) -> dict[str, list[tuple[float, float, float | None]]]:
        """Estimate -> (cosine, rank correlation, predicted cosine) of each repeat."""
        truth = self.gradient(self.draw(self.population))
        batch = self.draw(8)
        expected = self.utilities(batch, truth)
        found: dict[str, list] = {}

        def record(label: str, estimate: passes.Direction, predicted: float | None = None) -> None:
            rank = spearmanr(self.utilities(batch, estimate), expected)[0]
            found.setdefault(label, []).append((directions.cosine(estimate, truth), float(rank), predicted))

        for size in sizes:
            for _ in range(repeats):
                with self.engine.train_mode():
                    estimate, metrics = self.worker.probe._fresh_gradient(self.draw(size))
                record(f"fresh, {size}", estimate, metrics.get("probe/population_cosine"))
        for label, estimate in self.past().items():
            record(label, estimate)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--stages", type=int, nargs="+", default=[0, 20, 60, 150])
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 8, 32, 128])
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--population", type=int, default=512)
    args = parser.parse_args()
    start_process_group()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        start = make_start(Path(directory), args.hidden, args.layers, steps=60, examples=2 * args.population)
        laboratory, done = Laboratory(start, args.population), 0
        for stage in args.stages:
            laboratory.train(stage - done)
            done = stage
            for label, values in laboratory.compare(args.sizes, args.repeats).items():
                rows.append([stage, label, *map(summary, zip(*values, strict=True))])
    print(f"{hardware()}; hidden {args.hidden}, {args.layers} layers, batch {BATCH}, population {args.population}\n")
    print(table(["step", "estimate", "cosine", "utility rank correlation", "predicted cosine"], rows))


def summary(values: tuple[float | None, ...]) -> str:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return ""
    spread = f" ± {statistics.stdev(numbers):.2f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.2f}{spread}"


if __name__ == "__main__":
    main()
