"""Algorithms that change advantages after verl's estimator: SPO's mask and SEED-GRPO."""

import math
from dataclasses import replace

import pytest
import torch

from vcore_verl.rl.algorithms import Responses, build

PROBABILITIES = [0.99, 0.5, 0.95, 0.8, 0.99, 0.3, 0.97, 0.6, 0.99, 0.2]


def responses(answers: list[int], probabilities: list[float], prompts: str | None = None) -> Responses:
    """One response to each of `prompts`, all with the same tokens, and two positions of padding."""
    count, mask = len(answers), [True] * len(probabilities) + [False, False]
    return Responses(
        prompt_B=prompts or "p" * count,
        answer_B=answers,
        reward_B=torch.zeros(count),
        old_log_prob_BL=torch.tensor([*probabilities, 0.01, 0.01]).log().repeat(count, 1),
        mask_BL=torch.tensor([mask]).repeat(count, 1),
    )


def test_only_uncertain_tokens_are_trained_on_and_the_mean_weight_is_one():
    scaling = build("spo_mask", {}).scale(responses([0], PROBABILITIES))
    assert scaling.factor_BL.tolist() == [[0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 0]]
    assert scaling.metrics == {"spo_mask/share": 0.5}


def test_a_threshold_above_one_is_grpo_bit_for_bit():
    scaling = build("spo_mask", {"mask_below": 1.5}).scale(responses([0, 0], PROBABILITIES))
    advantage = torch.rand(2, 12)
    assert torch.equal((advantage * scaling.factor_BL)[:, :10], advantage[:, :10])


def test_a_policy_that_is_sure_of_every_token_has_nothing_to_learn():
    scaling = build("spo_mask", {}).scale(responses([0], [1.0, 0.95]))
    assert not scaling.factor_BL.any()
    assert scaling.metrics == {"spo_mask/share": 0.0}


@pytest.mark.parametrize(
    ("alpha", "expected"), [(1.0, [0.1875, -0.0625, -0.0625, -0.0625]), (0.02, [0.73875, -0.24625, -0.24625, -0.24625])]
)
def test_uncertain_prompts_get_smaller_advantages(alpha, expected):
    scaling = build("seed_grpo", {"alpha": alpha}).scale(responses([0, 1, 1, 3], PROBABILITIES))
    advantage_B = torch.tensor([0.75, -0.25, -0.25, -0.25])
    assert (advantage_B[:, None] * scaling.factor_BL).flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert scaling.metrics["seed_grpo/factor"] == pytest.approx(1 - 0.75 * alpha)


@pytest.mark.parametrize(
    ("alpha", "answers", "prompts"), [(1.0, [0, 0, 0], "ppp"), (0.0, [0, 1, 2], "ppp"), (1.0, [0, 0], "pq")]
)
def test_one_answer_or_no_alpha_is_dr_grpo_bit_for_bit(alpha, answers, prompts):
    scaling = build("seed_grpo", {"alpha": alpha}).scale(responses(answers, PROBABILITIES, prompts))
    assert torch.equal(scaling.factor_BL, torch.ones(len(answers), 1))


def test_each_prompt_has_its_own_factor_wherever_its_responses_are():
    scaling = build("seed_grpo", {"alpha": 0.5}).scale(responses([0, 0, 2, 0], PROBABILITIES, "papq"[::-1]))
    factors = dict(zip("qpap", scaling.factor_BL.flatten().tolist(), strict=True))
    assert factors["q"] == factors["a"] == 1
    assert factors["p"] == 1
    mixed = build("seed_grpo", {"alpha": 0.5}).scale(responses([0, 0, 2, 0], PROBABILITIES, "paqp"))
    assert mixed.factor_BL.flatten().tolist() == [1, 1, 1, 1]
    differing = build("seed_grpo", {"alpha": 0.5}).scale(responses([0, 0, 2, 0], PROBABILITIES, "papa"))
    assert differing.factor_BL.flatten().tolist() == [0.5, 1, 0.5, 1]


def test_equation_5_counts_a_nearly_sure_prompt_as_more_uncertain_than_an_even_one():
    def factor(definition, answers):
        built = build("seed_grpo", {"alpha": 1.0, "definition": definition})
        return built.scale(responses(answers, PROBABILITIES)).factor_BL[0].item()

    nearly, even = [0] * 7 + [1], [0] * 4 + [1] * 4
    assert factor("paper", nearly) == pytest.approx(1 - 1.1064864672 / math.log(8))
    assert factor("paper", nearly) < factor("paper", even)
    assert factor("shannon", nearly) == pytest.approx(1 - 0.1811881477)
    assert factor("shannon", nearly) > factor("shannon", even) == pytest.approx(2 / 3)


# Twelve, three and one response to three prompts, of which two, two and one are correct.
ALLOCATED = "p" * 12 + "qqq" + "r"
REWARDS = [1, 1, *[0] * 10, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "weight", "factor"),
    [
        ("gvm_raft", "accepted", {"p": 8 / 3, "q": 8 / 3, "r": 16 / 3}),
        ("gvm_grpo", "prompts", {"p": 4 / 9, "q": 16 / 9, "r": 16 / 3}),
        ("gvm_raft", "rows", {"p": 1, "q": 1, "r": 1}),
        ("gvm_grpo", "rows", {"p": 1, "q": 1, "r": 1}),
    ],
)
def test_prompts_with_more_responses_do_not_weigh_more(name, weight, factor):
    given = replace(responses([0] * 16, PROBABILITIES, ALLOCATED), reward_B=torch.tensor(REWARDS).float())
    scaling = build(name, {"weight": weight}).scale(given)
    assert scaling.factor_BL.flatten().tolist() == pytest.approx([factor[prompt] for prompt in ALLOCATED])


@pytest.mark.parametrize("weight", ["prompts", "rows"])
def test_a_uniform_allocation_is_grpo_bit_for_bit(weight):
    scaling = build("gvm_grpo", {"weight": weight}).scale(responses([0] * 12, PROBABILITIES, "pqr" * 4))
    assert torch.equal(scaling.factor_BL, torch.ones(12, 1))
