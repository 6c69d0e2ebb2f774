"""How well each derivative measures the utilities, against one backward pass per token in float64.

    python tests/benchmarks/utility_accuracy.py [--hidden 128 --layers 4 --steps 150 --examples 6]

Prints Spearman correlation / relative error, for float32 and for bfloat16 autocast. The direction is a clipped gradient
of the uniform loss on a probe batch of 32.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from bench import BF16, exact, hardware, make_batch, make_start, make_trainer, start_process_group, table
from scipy.stats import spearmanr
from transformers import AutoTokenizer

from vcore_verl.sft.dataset import SupervisedDataset
from vcore_verl.sft.probe import direction as directions

SETTINGS = {
    "forward difference, epsilon 1e-4 (paper)": ("forward", 1e-4),
    "forward difference, 0.1": ("forward", 0.1),
    "central difference, 0.1": ("central", 0.1),
    "forward difference, auto": ("forward", "auto"),
    "central difference, auto": ("central", "auto"),
    "forward-mode derivative": ("jvp", "auto"),
}


def measure(start: Path, precision: str, examples: int) -> dict[str, str]:
    """Setting -> "Spearman / relative error"."""
    init = {"name": "vcore", "kl_budget": 0.1, "probe": {"batch_size": 32}}
    trainer = make_trainer(start, init, **(BF16 if precision == "bfloat16" else {}))
    probe, engine = trainer.training_client.probe, trainer.engine
    batch = make_batch(trainer, list(range(examples)))
    supervised = batch["loss_mask"].values().roll(-1).bool()
    found = {}
    with engine.train_mode():
        gradient, _ = probe._gradient(batch, 1)
        direction = directions.clipped(gradient, 1.0)
        expected = exact_utilities(start, {name: v.full_tensor() for name, v in direction.items()}, examples)
        for name, (derivative, epsilon) in SETTINGS.items():
            probe.settings.derivative = derivative
            probe.step_size = type(probe.step_size)(None if epsilon == "auto" else epsilon)
            data = batch.copy()
            metrics = probe._utilities(data, direction)
            packed = data["utility"].values() if "utility" in data else probe._forward(data, direction, data["epsilon"])
            measured = packed[supervised].double().cpu().numpy()
            error = np.linalg.norm(measured - expected) / np.linalg.norm(expected)
            chosen = f" (epsilon {metrics['probe/epsilon']:.1e})" if epsilon == "auto" and metrics else ""
            found[name] = f"{spearmanr(measured, expected)[0]:.4f} / {error:.1%}{chosen}"
    return found


def exact_utilities(start: Path, direction: dict[str, torch.Tensor], examples: int) -> np.ndarray:
    """<direction, grad l_t> of every supervised token, one backward pass each."""
    model = exact.load(start)
    data = SupervisedDataset(
        str(start / "sft.parquet"), AutoTokenizer.from_pretrained(start / "base"), {"max_length": 512}
    )
    along = [direction[name].double().cpu() for name, _ in model.named_parameters()]
    utilities = []
    for index in range(examples):
        for loss in exact.token_losses(model, data[index]):
            grads = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            utilities.append(sum(float((g * v).sum()) for g, v in zip(grads, along, strict=True)))
    return np.array(utilities)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=150, help="training steps of 16 before the measurement")
    parser.add_argument("--examples", type=int, default=6)
    args = parser.parse_args()
    start_process_group()
    with tempfile.TemporaryDirectory() as directory:
        start = make_start(Path(directory), args.hidden, args.layers, args.steps, examples=64)
        single, half = (measure(start, precision, args.examples) for precision in ("float32", "bfloat16"))
    print(f"{hardware()}; hidden {args.hidden}, {args.layers} layers after {args.steps} steps\n")
    print(table(["how s is obtained", "float32", "bfloat16"], [[name, single[name], half[name]] for name in SETTINGS]))


if __name__ == "__main__":
    main()
