import math

import pytest
import torch

from vcore_verl.sft.probe.step_size import CHECK_EVERY, StepSize

EXACT = torch.linspace(-1, 1, 101, dtype=torch.float64)


def noisy(rounding: float, curvature: float, calls: list[float]):
    """Utilities whose error is rounding / epsilon plus curvature * epsilon."""
    generator = torch.Generator().manual_seed(0)

    def utilities(epsilon: float) -> torch.Tensor:
        calls.append(epsilon)
        noise = torch.randn(101, generator=generator, dtype=torch.float64)
        return EXACT + rounding / epsilon * noise + curvature * epsilon * EXACT**2

    return utilities


def test_chosen_step_balances_rounding_and_curvature():
    size, calls = StepSize(None), []
    epsilon = size.update(1.0, 1.0, noisy(1e-7, 1.0, calls))
    # The errors meet at sqrt(rounding / curvature) = 3e-4.
    assert 3e-5 < epsilon < 3e-3
    assert size.signal_to_noise > 100


def test_a_step_that_saturates_the_losses_is_not_taken_for_a_precise_one():
    # A loss that can fall by 0.01 at most: utilities shrink with longer steps, and so does what they differ by.
    generator = torch.Generator().manual_seed(0)

    def utilities(epsilon: float) -> torch.Tensor:
        noise = torch.randn(101, generator=generator, dtype=torch.float64)
        return 0.01 * torch.tanh(EXACT * epsilon / 0.01) / epsilon + 1e-3 / epsilon * noise

    epsilon = StepSize(None).update(1.0, 1.0, utilities)
    assert epsilon < 0.02


def test_step_is_measured_in_displacements_of_the_parameters():
    small, large = StepSize(None), StepSize(None)
    first = small.update(1.0, 1.0, noisy(1e-7, 1.0, []))
    # A direction 10 times as long and parameters 10 times as large: the same epsilon.
    assert large.update(10.0, 10.0, noisy(1e-7, 1.0, [])) == pytest.approx(first)


def test_step_is_searched_once_and_then_tracked_among_neighbours():
    size, calls = StepSize(None), []
    utilities = noisy(1e-7, 1.0, calls)
    for _ in range(CHECK_EVERY + 1):
        size.update(1.0, 1.0, utilities)
    assert len(calls) == 11 + 4


def test_given_epsilon_is_kept_and_its_noise_measured():
    size = StepSize(1e-6)
    assert size.update(1.0, 1.0, noisy(1e-7, 1.0, [])) == 1e-6
    assert 1 < size.signal_to_noise < 20
    assert not math.isnan(size.signal_to_noise)


def test_zero_direction_is_an_error():
    with pytest.raises(ValueError, match="probe gradient is zero"):
        StepSize(None).update(1.0, 0.0, noisy(1e-7, 1.0, []))
