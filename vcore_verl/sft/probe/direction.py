"""Probe directions: from a gradient to the direction of a virtual parameter update."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vcore_verl.sft.probe.passes import Direction, local


def norm(direction: Direction) -> float:
    """Euclidean norm over all parameters and ranks."""
    total = torch.nn.utils.get_total_norm(list(direction.values()))
    return float(total.full_tensor() if hasattr(total, "full_tensor") else total)


def clipped(direction: Direction, max_norm: float) -> Direction:
    """Scale to a norm of at most `max_norm`, with the formula of torch.nn.utils.clip_grad_norm_."""
    scale = min(1.0, max_norm / (norm(direction) + 1e-6))
    return {name: tensor * scale for name, tensor in direction.items()}


def cosine(first: Direction, second: Direction) -> float:
    """Cosine of two directions over all parameters and ranks; 0 if either is zero."""
    products = torch.stack([_dot(first, second), _dot(first, first), _dot(second, second)])
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(products)
    both, one, other = products.tolist()
    return both / (one * other) ** 0.5 if one * other > 0 else 0.0


def _dot(first: Direction, second: Direction) -> Tensor:
    """Scalar product of this rank's shards, float64."""
    return torch.stack([(local(first[name]) * local(second[name])).sum(dtype=torch.float64) for name in first]).sum()


def population_cosine(half_cosine: float) -> float:
    """Expected cosine of the mean of two half-batch gradients with the population gradient, given the halves' cosine.

    Independent halves share only the population part. With c = signal / (signal + noise) for a half, their mean has a
    fraction 2c / (1 + c) of its energy along the population gradient (Spearman-Brown); the cosine is its square root. 0
    for c <= 0.
    """
    shared = max(half_cosine, 0.0)
    return (2 * shared / (1 + shared)) ** 0.5


def signal_to_noise(cosine: float) -> float:
    """Length of an estimate's component along the truth relative to its orthogonal component, given their cosine.

    Utilities are linear in the direction, so theirs is the same. 0 for a cosine <= 0, at most 1e9.
    """
    aligned = min(max(cosine, 0.0), 1.0)
    return aligned / max((1 - aligned**2) ** 0.5, 1e-9)


def weighted_mean(first: Direction, second: Direction, share: float) -> Direction:
    """`share * first + (1 - share) * second`."""
    return {name: share * first[name] + (1 - share) * second[name] for name in first}


def adam_step(optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor], gradient: Direction) -> Direction:
    """The update direction d(g) = m(g) / (sqrt(v(g)) + eps) that AdamW would take on `gradient`.

    This is the step of the first released code: with beta1 = 0.9, nine tenths of m(g) are old momentum. Weight decay
    does not depend on token weights and is omitted. Raises ValueError for an optimizer that is not Adam or AdamW.
    """
    return {
        name: moments.mean / (moments.root + moments.eps)
        for name, moments in _moments(optimizer, parameters, gradient).items()
    }


def preconditioned(optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor], gradient: Direction) -> Direction:
    """J g (paper, appendix H), J the diagonal Jacobian of Adam's update map d at `gradient`; no old momentum enters.

    The paper evaluates J at the uniform gradient of the training batch; the probe's own gradient, an estimate of the
    same, spares that backward pass. On an optimizer's first step d is the sign of g, and J all but vanishes. Raises
    ValueError for an optimizer that is not Adam or AdamW.
    """
    direction = {}
    for name, moments in _moments(optimizer, parameters, gradient).items():
        g, r = gradient[name], moments.root + moments.eps
        # A coordinate that has had no gradient yet has root 0, and its term is 0.
        curvature = g * moments.mean / r / r / moments.root.clamp(min=1e-30)
        direction[name] = (moments.c1 / r - moments.c2 * curvature) * g
    return direction


@dataclass(frozen=True)
class _Moments:
    """Adam's bias-corrected `mean` m(g) and `root` sqrt(v(g)), and their derivatives: dm/dg = c1, dv/dg = 2 c2 g."""

    mean: Tensor
    root: Tensor
    c1: float
    c2: float
    eps: float


def _moments(
    optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor], gradient: Direction
) -> dict[str, _Moments]:
    """The moments after a step on `gradient`, from the optimizer's current state, which is not modified."""
    if not isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW):
        raise ValueError(
            f"init.probe.update needs Adam or AdamW, not {type(optimizer).__name__}: set init.probe.update=sgd"
        )
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    found = {}
    for name, g in gradient.items():
        group, state = group_of[id(parameters[name])], optimizer.state.get(parameters[name], {})
        (beta1, beta2), k = group["betas"], float(state.get("step", 0)) + 1
        c1, c2 = (1 - beta1) / (1 - beta1**k), (1 - beta2) / (1 - beta2**k)
        mean = beta1 / (1 - beta1**k) * state.get("exp_avg", torch.zeros_like(g)) + c1 * g
        square = beta2 / (1 - beta2**k) * state.get("exp_avg_sq", torch.zeros_like(g)) + c2 * g * g
        found[name] = _Moments(mean, square.sqrt(), c1, c2, group["eps"])
    return found
