"""The positive control: no weight on noise, which an oracle knows. For the traces of built-in tasks.

An objective that finds noise by itself can come this far. A comparison in which even this one does not beat `sft` says
nothing about objectives.
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
