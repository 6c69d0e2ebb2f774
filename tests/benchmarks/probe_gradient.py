"""How well a probe gradient estimates the population gradient, over training, and whether another estimate of the same
cost does better.

    python tests/benchmarks/probe_gradient.py [--hidden 128 --layers 4 --stages 0 20 60 150 --population 512]

Cosine with the gradient of a large sample, and Spearman correlation of the utilities that the two give; mean and
standard deviation over repeats. `predicted` is the cosine that training logs from the agreement of two half-batches
(probe/population_cosine).

- `fresh`: batches of several sizes.
- `running`: averages of the training gradients (newest 1: the previous step's), and Adam's first moment.
- `anchored`: g_b(theta) - g_b(theta_a) + g_B(theta_a), theta_a the parameters `age` steps ago. A batch of 8 costs 16
  sequences a step, and B = 16 every others: as much as a fresh batch of 32 where an anchor serves `every` steps.
- `pooled`: the mean of a fresh batch of 32 with those of the steps before it, at the parameters of their steps;
  `while they agree`: from the newest back, as long as each agrees with the newest nine tenths as well as another batch
  of this step would, by its halves. `with the last training gradient`: with what training had computed anyway.
- `J`: what is estimated is J times the gradient, J the Jacobian of Adam's update (paper, appendix H).
"""

import argparse
import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from bench import hardware, make_batch, make_start, make_trainer, start_process_group, table
from scipy.stats import spearmanr

from vcore_verl.sft.probe import direction as directions
from vcore_verl.sft.probe import passes

BATCH = 32
AVERAGES = (1.0, 0.9, 0.5, 0.1)
ANCHORS = {1: (1,), 5: (1, 5), 20: (1, 5, 20)}  # steps that an anchor serves: its ages to be measured
ANCHORED_BATCH = BATCH // 4
POOLS = (2, 4, 8)
AGREEMENT = 0.9
KEPT = 1 + max(20, *POOLS)  # past parameters


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
        self.past: deque[passes.Direction] = deque(maxlen=KEPT)  # parameters before the last steps, newest first
        self.engine.optimizer.register_step_post_hook(self.remember)
        self.generator = torch.Generator().manual_seed(0)

    def draw(self, size: int) -> Any:
        return make_batch(self.trainer, torch.randint(self.examples, (size,), generator=self.generator).tolist())

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.past.appendleft(self.parameters())
            self.worker.train_batch(self.draw(BATCH))

    def parameters(self) -> passes.Direction:
        return {name: p.detach().clone() for name, p in passes.trainable(self.engine).items()}

    def gradient(self, batch: Any) -> passes.Direction:
        with self.engine.train_mode():
            return passes.gradient(self.engine, batch)

    def gradient_then(self, age: int, batch: Any) -> passes.Direction:
        """At the parameters `age` steps ago; 0 is now."""
        if age == 0:
            return self.gradient(batch)
        back = combined([(1, self.past[age - 1]), (-1, self.parameters())])
        with passes.perturbed(self.engine, back, 1.0):
            return self.gradient(batch)

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

    def free(self) -> dict[str, passes.Direction]:
        """Directions that cost nothing: what training has already computed."""
        averages = {f"running, newest {newest}": average for newest, average in self.averages.items()}
        return averages | ({"Adam's first moment": self.moment} if self.moment else {})

    def of_equal_cost(self) -> Iterator[tuple[str, passes.Direction]]:
        """Other estimates for what a fresh batch of 32 costs, as far as the past reaches."""
        for every, ages in ANCHORS.items():
            for age in ages:
                if age <= len(self.past):
                    yield f"anchored, every {every}, age {age}", self.anchored(age, ANCHORED_BATCH * 2 * every)
        if self.averages:
            mean = directions.weighted_mean(self.gradient(self.draw(BATCH)), self.averages[1.0], 0.5)
            yield "pooled with the last training gradient", mean
        reach = min(len(self.past), max(POOLS) - 1)
        pool = [self.gradient_then(age, self.draw(BATCH)) for age in range(1, reach + 1)]
        halves = [self.gradient(self.draw(BATCH // 2)) for _ in range(2)]
        pool.insert(0, directions.weighted_mean(halves[0], halves[1], 0.5))
        for size in POOLS:
            if size <= len(pool):
                yield f"pooled, {size} steps", mean_of(pool[:size])
        expected = directions.population_cosine(directions.cosine(*halves)) ** 2  # of two whole batches
        agreeing = 1
        while agreeing < len(pool) and directions.cosine(pool[0], pool[agreeing]) >= AGREEMENT * expected:
            agreeing += 1
        if self.past:
            yield "pooled while they agree", mean_of(pool[:agreeing])

    def anchored(self, age: int, size: int) -> passes.Direction:
        batch = self.draw(ANCHORED_BATCH)
        now, then, anchor = (
            self.gradient(batch),
            self.gradient_then(age, batch),
            self.gradient_then(age, self.draw(size)),
        )
        return combined([(1, now), (-1, then), (1, anchor)])

    def jacobian(self) -> passes.Direction:
        """Diagonal of dd/dg at the gradient of a batch, d Adam's update (paper, appendix H, "Explicit Jacobian")."""
        found, gradient = {}, self.gradient(self.draw(BATCH))
        (group,) = self.engine.optimizer.param_groups
        (beta1, beta2), eps = group["betas"], group["eps"]
        for name, parameter in passes.trainable(self.engine).items():
            state, g = self.engine.optimizer.state[parameter], gradient[name]
            k = float(state["step"]) + 1
            c1, c2 = (1 - beta1) / (1 - beta1**k), (1 - beta2) / (1 - beta2**k)
            m = beta1 * state["exp_avg"] / (1 - beta1**k) + c1 * g
            root = (beta2 * state["exp_avg_sq"] / (1 - beta2**k) + c2 * g * g).sqrt()
            found[name] = c1 / (root + eps) - c2 * g * m / ((root + eps) ** 2 * root.clamp(min=1e-30))
        return found

    def compare(self, sizes: list[int], repeats: int) -> dict[str, list[tuple[float, float, float | None]]]:
        """Estimate -> (cosine, rank correlation, predicted cosine) of each repeat."""
        truth = self.gradient(self.draw(self.population))
        batch = self.draw(8)
        recorder = Recorder(lambda direction: self.utilities(batch, direction), truth)
        for size in sizes:
            for _ in range(repeats):
                with self.engine.train_mode():
                    estimate, metrics = self.worker.probe._fresh_gradient(self.draw(size))
                recorder.record(f"fresh, {size}", estimate, metrics.get("probe/population_cosine"))
        for label, estimate in self.free().items():
            recorder.record(label, estimate)
        for _ in range(repeats):
            for label, estimate in self.of_equal_cost():
                recorder.record(label, estimate)
        if self.past:
            jacobian = self.jacobian()
            scaled = Recorder(recorder.utilities, product(jacobian, truth), recorder.found)
            for _ in range(repeats):
                scaled.record(f"J, fresh, {BATCH}", product(jacobian, self.gradient(self.draw(BATCH))))
        return recorder.found


class Recorder:
    """Compares estimates with one truth; adds to `found`."""

    def __init__(
        self, utilities: Callable[[passes.Direction], torch.Tensor], truth: passes.Direction, found: dict | None = None
    ):
        self.utilities, self.truth, self.expected = utilities, truth, utilities(truth)
        self.found: dict[str, list] = {} if found is None else found

    def record(self, label: str, estimate: passes.Direction, predicted: float | None = None) -> None:
        rank = spearmanr(self.utilities(estimate), self.expected)[0]
        cosine = directions.cosine(estimate, self.truth)
        self.found.setdefault(label, []).append((cosine, float(rank), predicted))


def combined(terms: list[tuple[float, passes.Direction]]) -> passes.Direction:
    return {name: sum(factor * term[name] for factor, term in terms) for name in terms[0][1]}


def mean_of(terms: list[passes.Direction]) -> passes.Direction:
    return combined([(1 / len(terms), term) for term in terms])


def product(first: passes.Direction, second: passes.Direction) -> passes.Direction:
    return {name: first[name] * second[name] for name in first}


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
