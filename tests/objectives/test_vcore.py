import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vcore_verl.objectives import Tokens, build, gibbs_weights, variance_scale
from vcore_verl.objectives.packed import expand, kl_from_uniform, lengths

utilities = st.lists(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30), min_size=1, max_size=5)


def pack(rows: list[list[float]]) -> tuple[Tensor, Tensor]:
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row))
    return torch.tensor([x for row in rows for x in row], dtype=torch.float32), torch.tensor(offsets)


def tokens(loss: list[list[float]], utility: list[list[float]]) -> Tokens:
    loss_T, cu_seqlens_S1 = pack(loss)
    return Tokens(
        loss_T=loss_T,
        cu_seqlens_S1=cu_seqlens_S1,
        example_S=torch.arange(len(loss)),
        answer_T=torch.zeros(len(loss_T), dtype=torch.bool),
        utility_T=pack(utility)[0],
    )


# Two sequences: q = (1, 2, 3) / 6 where exp(s) = (1, 2, 3), and uniform where utilities are equal.
LOSS = [[1.0, 2.0, 3.0], [0.5, 1.5]]
UTILITY = [[0.0, math.log(2), math.log(3)], [1.0, 1.0]]


def test_weights_are_n_q_by_hand():
    weights = gibbs_weights(*pack(UTILITY), temperature=1.0)
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.0, 1.5, 1.0, 1.0]))


def test_loss_ratio_makes_a_sequence_lose_as_much_as_unweighted():
    # sum l = 6 and sum w l = 7: alpha = 6/7, as the released code has it for a micro-batch of one sequence.
    weighting = build("vcore", {"temperature": 1.0}).weigh(tokens(LOSS, UTILITY))
    torch.testing.assert_close(weighting.alpha_S, torch.tensor([6 / 7, 1.0]))
    torch.testing.assert_close(weighting.weights_T, torch.tensor([3 / 7, 6 / 7, 9 / 7, 1.0, 1.0]))
    torch.testing.assert_close((weighting.weights_T[:3] * torch.tensor(LOSS[0])).sum(), torch.tensor(6.0))


def test_loss_ratio_never_exceeds_one():
    falling = [[3.0, 2.0, 1.0], [0.5, 1.5]]  # heavy tokens have small losses: sum w l = 5 < 6
    weighting = build("vcore", {"temperature": 1.0}).weigh(tokens(falling, UTILITY))
    assert weighting.alpha_S.tolist() == [1.0, 1.0]


def test_variance_rule_by_hand():
    # Var(s) = 0.205756 and Var(q s) = 0.050712 over three tokens: alpha = sqrt(0.205756 / 9 / 0.050712).
    utility_T, cu_seqlens_S1 = pack(UTILITY)
    weights_T = gibbs_weights(utility_T, cu_seqlens_S1, temperature=1.0)
    alpha_S = variance_scale(pack(LOSS)[0], weights_T, utility_T, cu_seqlens_S1, rule="variance")
    torch.testing.assert_close(alpha_S, torch.tensor([0.67143, 1.0]), atol=2e-5, rtol=0)


def test_rule_none_leaves_the_weights_alone():
    weighting = build("vcore", {"temperature": 1.0, "variance_control": "none"}).weigh(tokens(LOSS, UTILITY))
    assert weighting.alpha_S.tolist() == [1.0, 1.0]


def test_released_code_divides_by_the_temperature():
    torch.testing.assert_close(
        gibbs_weights(*pack([[0.0, 2.0 * math.log(3)]]), temperature=2.0), torch.tensor([0.5, 1.5])
    )


@given(utilities, st.floats(0.01, 100))
def test_theorem_1_expected_utility_is_never_below_uniform(rows: list[list[float]], temperature: float):
    utility_T, cu_seqlens_S1 = pack(rows)
    weights_T = gibbs_weights(utility_T, cu_seqlens_S1, temperature=temperature)
    for row, weights in zip(rows, weights_T.double().split(lengths(cu_seqlens_S1).tolist()), strict=True):
        s = torch.tensor(row, dtype=torch.float64)
        gain = float((weights * s).mean() - s.mean())
        spread = float(s.max() - s.min())
        assert gain >= -1e-4 * max(spread, 1e-6)
        # Strictly better wherever the utilities differ by more than float32 weights can miss.
        assert gain > 0 or spread / temperature < 1e-3


def reach(row: list[float], resolution: float) -> float:
    """KL from uniform with all weight on the best tokens, those nearer to the maximum than `resolution` ranges."""
    best = max(row) - resolution * (max(row) - min(row))
    return math.log(len(row)) - math.log(sum(x >= best for x in row))


@given(utilities, st.floats(1e-3, 2.0))
def test_kl_budget_is_met_or_out_of_reach(rows: list[list[float]], budget: float):
    utility_T, cu_seqlens_S1 = pack(rows)
    weights_T = gibbs_weights(utility_T, cu_seqlens_S1, kl_budget=budget)
    q_T = weights_T.double() / expand(lengths(cu_seqlens_S1), cu_seqlens_S1)
    for row, kl in zip(rows, kl_from_uniform(q_T, cu_seqlens_S1).tolist(), strict=True):
        assert min(budget, reach(row, 1e-9)) - 1e-4 <= kl <= min(budget, reach(row, 1e-14)) + 1e-4


@given(utilities, st.floats(0.5, 50))
def test_kl_budget_ignores_the_scale_of_the_utilities(rows: list[list[float]], scale: float):
    utility_T, cu_seqlens_S1 = pack(rows)
    torch.testing.assert_close(
        gibbs_weights(utility_T * scale, cu_seqlens_S1, kl_budget=0.0), torch.ones_like(utility_T)
    )
    if float(utility_T.abs().min()) > 0.1:
        torch.testing.assert_close(
            gibbs_weights(utility_T * 2**4, cu_seqlens_S1, kl_budget=0.1),
            gibbs_weights(utility_T, cu_seqlens_S1, kl_budget=0.1),
        )


@given(utilities)
def test_weights_have_mean_one_per_sequence(rows: list[list[float]]):
    utility_T, cu_seqlens_S1 = pack(rows)
    for options in ({"temperature": 0.5}, {"kl_budget": 0.2}):
        for weights in gibbs_weights(utility_T, cu_seqlens_S1, **options).split(lengths(cu_seqlens_S1).tolist()):
            assert float(weights.double().mean()) == pytest.approx(1.0, abs=1e-6)


def test_infinite_temperature_is_uniform_to_the_last_bit():
    utility_T, cu_seqlens_S1 = pack([[0.1] * 48 + [3.0], [5.0, -2.0]])
    assert gibbs_weights(utility_T, cu_seqlens_S1, temperature=math.inf).tolist() == [1.0] * 51


@pytest.mark.parametrize("options", [{"temperature": 1.0}, {"kl_budget": 0.1}])
@pytest.mark.parametrize("rule", ["loss_ratio", "variance", "none"])
@pytest.mark.parametrize(
    ("loss", "utility", "expected"),
    [
        pytest.param([[2.0]], [[7.0]], [1.0], id="one token"),
        pytest.param([[1.0, 2.0]], [[3.0, 3.0]], [1.0, 1.0], id="equal utilities"),
        pytest.param([[], [1.0]], [[], [0.0]], [1.0], id="a sequence without tokens"),
        pytest.param([[0.0, 0.0]], [[0.0, 0.0]], [1.0, 1.0], id="zero loss"),
    ],
)
def test_edges_are_uniform(options: dict, rule: str, loss: list, utility: list, expected: list):
    weighting = build("vcore", options | {"variance_control": rule}).weigh(tokens(loss, utility))
    assert weighting.weights_T.tolist() == expected


@pytest.mark.parametrize("rule", ["loss_ratio", "variance", "none"])
def test_extreme_utilities_stay_finite(rule: str):
    weighting = build("vcore", {"temperature": 1.0, "variance_control": rule}).weigh(
        tokens([[1.0, 1.0, 1.0]], [[1e4, 0.0, -1e4]])
    )
    assert torch.isfinite(weighting.weights_T).all()
    assert weighting.weights_T[0] > 0
    assert weighting.weights_T[1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either init.temperature or init.kl_budget"),
        ({"temperature": 1.0, "kl_budget": 0.1}, "either init.temperature or init.kl_budget"),
        ({"temperature": 0.0}, "init.temperature is 0.0"),
        ({"kl_budget": -1.0}, "init.kl_budget is -1.0"),
    ],
)
def test_bad_settings_are_named(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        gibbs_weights(*pack([[1.0, 2.0]]), **options)


def test_unknown_variance_rule_is_named():
    with pytest.raises(ValueError, match="rule is 'ratio'"):
        variance_scale(*(torch.ones(2),) * 3, torch.tensor([0, 2]), rule="ratio")
