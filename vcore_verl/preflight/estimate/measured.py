"""What `scripts/check_gpu.sh` measured on a card, in the plan's terms. Imports no torch."""

from dataclasses import dataclass

from vcore_verl.preflight.estimate.architecture import from_config
from vcore_verl.sft.gpu_check.record import DERIVATIVES, SHARES, label, read

PASSES = 3  # forward passes' worth of the check's step of SFT: adapters with gradient checkpointing


@dataclass(frozen=True)
class Measured:
    """Operations a second of training, and what each derivative of a probe costs in forward passes."""

    operations: float
    derivatives: dict[str, float]


def measured(card: str) -> Measured | None:
    """Of the card that the plan calls `card`, by the largest batch that had room for every step; None without one.

    A probe's gradient costs in proportion to B', its derivative does not: two sizes of B' tell them apart.
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
