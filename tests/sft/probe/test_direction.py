import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vcore_verl.sft.probe import direction as directions


def test_the_adam_step_is_the_one_that_adamw_takes():
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(5))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, betas=(0.8, 0.9), weight_decay=0.0)
    for _ in range(3):
        parameter.grad = torch.randn(5)
        optimizer.step()
    gradient = torch.randn(5)
    update = directions.adam_step(optimizer, {"p": parameter}, {"p": gradient})["p"]
    before = parameter.detach().clone()
    parameter.grad = gradient
    optimizer.step()
    torch.testing.assert_close(before - 0.1 * update, parameter.detach())


def trained(num: int) -> tuple[torch.nn.Parameter, torch.optim.AdamW]:
    """A parameter after three steps of AdamW, float64; its last coordinate never had a gradient."""
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(num, dtype=torch.float64))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, betas=(0.8, 0.9), weight_decay=0.0)
    for _ in range(3):
        parameter.grad = torch.randn(num, dtype=torch.float64)
        parameter.grad[-1] = 0.0
        optimizer.step()
    return parameter, optimizer


def test_the_preconditioned_gradient_is_the_derivative_of_the_adam_step_along_it():
    parameter, optimizer = trained(6)
    gradient = torch.randn(6, dtype=torch.float64)
    gradient[-1] = 0.0

    def step(g: torch.Tensor) -> torch.Tensor:
        return directions.adam_step(optimizer, {"p": parameter}, {"p": g})["p"]

    h = 1e-6
    expected = (step((1 + h) * gradient) - step((1 - h) * gradient)) / (2 * h)
    found = directions.preconditioned(optimizer, {"p": parameter}, {"p": gradient})["p"]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_old_momentum_is_no_part_of_the_preconditioned_gradient():
    parameter, optimizer = trained(4)
    nothing = {"p": torch.zeros(4, dtype=torch.float64)}
    assert directions.adam_step(optimizer, {"p": parameter}, nothing)["p"][:-1].abs().min() > 0.01
    assert not directions.preconditioned(optimizer, {"p": parameter}, nothing)["p"].any()


@pytest.mark.parametrize("derive", [directions.adam_step, directions.preconditioned])
def test_a_direction_leaves_the_optimizer_alone(derive):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.grad = torch.ones(3)
    optimizer.step()
    before = {key: value.clone() for key, value in optimizer.state[parameter].items()}
    derive(optimizer, {"p": parameter}, {"p": torch.full((3,), 2.0)})
    assert all(torch.equal(optimizer.state[parameter][key], value) for key, value in before.items())


@pytest.mark.parametrize("derive", [directions.adam_step, directions.preconditioned])
def test_a_direction_of_adam_refuses_other_optimizers(derive):
    parameter = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="needs Adam or AdamW, not SGD"):
        derive(torch.optim.SGD([parameter]), {"p": parameter}, {"p": torch.ones(3)})


def test_clipping_matches_torch():
    gradient = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0])}
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradient.values()]
    for parameter, g in zip(parameters, gradient.values(), strict=True):
        parameter.grad = g.clone()
    torch.nn.utils.clip_grad_norm_(parameters, 2.0)
    clipped = directions.clipped(gradient, 2.0)
    torch.testing.assert_close(list(clipped.values()), [p.grad for p in parameters])
    torch.testing.assert_close(directions.clipped(gradient, 10.0), gradient)


def test_cosine_by_hand():
    first, second = {"a": torch.tensor([1.0, 0.0])}, {"a": torch.tensor([1.0, 1.0])}
    assert directions.cosine(first, second) == pytest.approx(math.sqrt(0.5))
    assert directions.cosine(first, {"a": torch.zeros(2)}) == 0.0


@given(st.floats(0.1, 4.0))
def test_population_cosine_predicts_the_agreement_with_the_truth(noise: float):
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(50_000, generator=generator)
    halves = [{"a": truth + noise * torch.randn(50_000, generator=generator)} for _ in range(2)]
    mean = directions.weighted_mean(*halves, 0.5)
    predicted = directions.population_cosine(directions.cosine(*halves))
    assert directions.cosine(mean, {"a": truth}) == pytest.approx(predicted, abs=0.03)
