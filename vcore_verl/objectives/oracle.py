"""The positive control for built-in tasks: zero weight on noise tokens, whose kind is known.

An objective that detects noise without the kinds can do as well as this one. If even the oracle does not beat `sft`, a
comparison says nothing about objectives.
"""

import torch

from vcore_verl.objectives.kinds import KINDS
from vcore_verl.objectives.registry import Tokens, Weighting, register

NOISE = ("filler", "mistake", "false_start", "leak")


@register("oracle", needs=("kind",), colour="#000000", marker="*")
def weigh(tokens: Tokens) -> Weighting:
    """w_t = 0 for tokens whose kind is in `NOISE`, else 1."""
    kind_T = tokens.needed("kind")
    noise = torch.tensor([KINDS.index(name) for name in NOISE], device=kind_T.device)
    return Weighting((~torch.isin(kind_T, noise)).to(tokens.loss_T))
