"""Weights of published objectives against values that were computed from the papers' formulas in float64.

Sequence 1 has four tokens, sequence 2 three.
"""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vcore_verl.config.objectives import builtin
from vcore_verl.objectives import Losses, Tokens, build, names
from vcore_verl.objectives.kinds import KINDS

P = [0.5, 0.9, 0.05, 0.8, 0.2, 0.99, 0.6]
P_REF = [0.4, 0.95, 0.1, 0.7, 0.25, 0.9, 0.5]
P_BEHAVIOUR = [0.6, 0.92, 0.5, 0.75, 0.9, 0.97, 0.4]
P_OLD = [0.5, 0.7, 0.05, 0.5, 0.15, 0.99, 0.62]
ENTROPY = [0.9, 0.4, 0.3, 0.7, 1.5, 0.05, 1.0]
EXPECTED = [
    (
        "p_power",
        {"exponent": 0.5},
        [0.7071067812, 0.9486832981, 0.2236067977, 0.8944271910, 0.4472135955, 0.9949874371, 0.7745966692],
    ),
    ("p_power", {"exponent": 2.0}, [0.25, 0.81, 0.0025, 0.64, 0.04, 0.9801, 0.36]),
    ("threshold", {}, [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]),
    ("threshold", {"low": 0.6}, [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0]),
    ("chord_phi", {}, [0.25, 0.09, 0.0475, 0.16, 0.16, 0.0099, 0.24]),
    (
        "luffy",
        {},
        [0.1388888889, 0.09, 0.2222222222, 0.0987654321, 0.2222222222, 0.0833263193, 0.1224489796],
    ),
    (
        "gift_weight",
        {"beta": 2.0},
        [0.7187552905, 0.8585493473, 0.3898367338, 0.8172627919, 0.6149794590, 0.8518551547, 0.7615941560],
    ),
    (
        "eaft",
        {},
        [0.3004273806, 0.1335232803, 0.1001424602, 0.2336657405, 0.5007123010, 0.0166904100, 0.3338082007],
    ),
    ("pear", {}, [0.9603649730, 0.9826891059, 1.0656, 1.0, 1.3749369437, 1.3485089488, 1.0]),
    ("pear", {"gamma": 0.9}, [0.7022105911, 0.7975725233, 0.96, 1.0, 1.1159296678, 1.2148729268, 1.0]),
    ("pear", {"block": 2}, [0.9826891059, 0.9826891059, 1.0, 1.0, 1.3485089488, 1.3485089488, 1.0]),
    ("pear", {"block": 4}, [1.0] * 7),
    ("pear", {"level": "sequence"}, [0.8891935189] * 4 + [1.2717690343] * 3),
    (
        "pear_wide",
        {"ratio_low": -5.0, "ratio_high": 5.0},
        [0.1040350955, 0.10645344, 1.0656, 1.0, 1.5278675103, 1.4985, 1.0],
    ),
    ("psft", {}, [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.9677419355]),
    ("psft", {"clip_high": 0.5}, [1.0, 1.2857142857, 1.0, 0.0, 1.3333333333, 1.0, 0.9677419355]),
    (
        "talr",
        {},
        [0.4454839844, 0.8843443229, 0.0303583083, 0.7708132749, 0.1529725041, 0.9883441966, 0.5510631069],
    ),
    (
        "talr",
        {"median": "token"},
        [0.2574536825, 0.8136252940, 0.01, 0.6460817693, 0.0428238494, 0.9805175935, 0.3678794412],
    ),
]


def tokens(p: list[float], p_ref: list[float] = P_REF) -> Tokens:
    return Tokens(
        loss_T=-torch.tensor(p).log(),
        cu_seqlens_S1=torch.tensor([0, 4, len(p)]),
        example_S=torch.tensor([0, 1]),
        answer_T=torch.zeros(len(p), dtype=torch.bool),
        reference_T=torch.tensor(p_ref).log(),
        entropy_T=torch.tensor(ENTROPY),
        behaviour_T=torch.tensor(P_BEHAVIOUR).log(),
        old_T=torch.tensor(P_OLD).log(),
        batch=Losses(-torch.tensor(P).log(), torch.tensor([0, 4, 7])),
    )


@pytest.mark.parametrize(("name", "chosen", "expected"), EXPECTED)
def test_weights_are_those_of_the_formula(name, chosen, expected):
    weights = build(name, chosen).weigh(tokens(P)).weights_T
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_powers_of_the_probability_lead_from_sft_to_dft():
    for exponent, name in ((0.0, "sft"), (1.0, "dft")):
        found = build("p_power", {"exponent": exponent}).weigh(tokens(P)).weights_T
        torch.testing.assert_close(found, build(name, {}).weigh(tokens(P)).weights_T)


@pytest.mark.parametrize(
    ("name", "chosen", "loss"),
    [
        ("p_power", {"exponent": 2.0}, lambda p: (1 - p**2) / 2),
        ("luffy", {}, lambda p: -p / (p + 0.1)),
    ],
)
def test_the_weighted_loss_has_the_gradient_of_the_released_one(name, chosen, loss):
    p = torch.tensor(P, dtype=torch.float64, requires_grad=True)
    (released,) = torch.autograd.grad(loss(p).sum(), p)
    weights = build(name, chosen).weigh(tokens(P)).weights_T
    torch.testing.assert_close((-weights / p.detach()).double(), released, rtol=1e-5, atol=1e-6)


def test_gift_at_its_default_is_sft_but_for_what_the_initial_model_rules_out():
    weights = build("gift_weight", {}).weigh(tokens(P, p_ref=[*P_REF[:-1], 2e-9])).weights_T
    assert weights[:-1].min() > 0.9999
    assert weights[-1] == pytest.approx(1 - 1 / (1 + 2e-9 * math.expm1(20)), rel=1e-4)


@pytest.mark.parametrize(("ratio", "expected"), [(-1.0, 4.5399930e-5), (1.0, 148.4131591)])
def test_the_weights_of_pear_stay_in_their_bounds(ratio, expected):
    long = Tokens(
        loss_T=torch.full((125,), 2.0),
        cu_seqlens_S1=torch.tensor([0, 125]),
        example_S=torch.tensor([0]),
        answer_T=torch.zeros(125, dtype=torch.bool),
        behaviour_T=torch.full((125,), -2.0 - ratio),
    )
    assert build("pear", {}).weigh(long).weights_T[0].item() == pytest.approx(expected, rel=1e-5)


def test_talr_on_a_batch_that_the_model_knows_by_heart_is_sft():
    known = replace(tokens(P), loss_T=torch.zeros(7), batch=Losses(torch.zeros(7), torch.tensor([0, 4, 7])))
    assert build("talr", {}).weigh(known).weights_T.tolist() == [1.0] * 7


@pytest.mark.parametrize("name", names())
@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.0, 100.0, width=32), min_size=4, max_size=40))
def test_weights_are_finite_and_never_negative(name, losses):
    loss_T = torch.tensor(losses)
    tokens = Tokens(
        loss_T=loss_T,
        cu_seqlens_S1=torch.tensor([0, 0, 3, len(losses)]),
        example_S=torch.arange(3),
        answer_T=torch.zeros(len(losses), dtype=torch.bool),
        reference_T=-loss_T.flip(0),
        utility_T=loss_T.flip(0) - loss_T,
        kind_T=torch.arange(len(losses)) % len(KINDS),
        entropy_T=loss_T % 4,
        half_cosine=0.5,
        behaviour_T=-loss_T.flip(0),
        old_T=-loss_T.flip(0),
        batch=Losses(loss_T, torch.tensor([0, 1, len(losses)])),
    )
    needed = {"kl_budget": 0.1} if builtin()[name].exactly_one else {}
    weights = build(name, needed).weigh(tokens).weights_T
    assert weights.dtype == torch.float32 and weights.shape == loss_T.shape
    assert weights.isfinite().all() and (weights >= 0).all()
