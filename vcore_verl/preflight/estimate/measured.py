"""Measurements of `scripts/check_gpu.sh` on a card, in the units of the plan. Imports no torch."""

from dataclasses import dataclass

from vcore_verl.preflight.estimate.architecture import from_config
from vcore_verl.sft.gpu_check.record import DERIVATIVES, SHARES, label, read

PASSES = 3  # cost of the check's SFT step, in forward passes: adapters with gradient checkpointing


@dataclass(frozen=True)
class Measured:
    """Operations per second in training, and the cost of each derivative of a probe in forward passes."""

    operations: float
    derivatives: dict[str, float]


def measured(card: str) -> Measured | None:
    """Measurements of `card`, from the largest batch for which every step fitted; None if there is none.

    The cost of a probe's gradient is proportional to B', that of its derivative is not: two sizes of B' separate them.
    """
    found = read(card)
    by_tokens: dict[int, dict[str | None, float]] = {}
    for step in found["steps"] if found else []:
        if step["seconds"] is not None:
            by_tokens.setdefault(step["tokens"], {})[step["probe"]] = step["seconds"]
    complete = [tokens for tokens, steps in by_tokens.items() if len(steps) == 1 + len(DERIVATIVES) * len(SHARES)]
    if found is None or not complete:
        return None
    tokens = max(complete)
    training = by_tokens[tokens][None]
    forward = training / PASSES
    derivatives = {}
    for name in DERIVATIVES:
        whole, part = (by_tokens[tokens][label(name, share)] - training for share in SHARES)
        gradient = (whole - part) / (1 / SHARES[0] - 1 / SHARES[1])
        derivatives[name] = max(whole - gradient / SHARES[0], 0.0) / forward
    operations = tokens * from_config(found["model"]).forward_flops(tokens / found["sequences"])
    return Measured(operations / forward, derivatives)
