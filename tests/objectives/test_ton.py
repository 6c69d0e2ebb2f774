"""Thought dropout: which examples lose their thought, and what is left of a response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vcore_verl.objectives import Tokens, Weighting, build, register, registry, rewrites
from vcore_verl.objectives.ton import without_thought

TRACE = "<think>1+2=3\n</think>\\boxed{3}"
SHORT = "<think></think>\\boxed{3}"


def dropped(dropout: float, count: int, seed: int = 0) -> list[bool]:
    rewrite = build("ton", {"dropout": dropout}).rewrite
    assert rewrite is not None
    found = [rewrite(TRACE, example, seed) for example in range(count)]
    assert set(found) <= {TRACE, SHORT}
    return [response == SHORT for response in found]


def test_a_hash_of_seed_and_example_decides():
    assert dropped(0.5, 10) == [False, False, False, True, True, False, False, True, False, True]
    half, fifth = dropped(0.5, 2000), dropped(0.2, 2000)
    assert (sum(half), sum(fifth)) == (1026, 421)
    assert all(also for also, first in zip(half, fifth, strict=True) if first)
    assert dropped(0.5, 100, seed=1) != half[:100]


def test_none_and_all():
    assert not any(dropped(0.0, 100))
    assert all(dropped(1.0, 100))


@pytest.mark.parametrize(
    ("response", "left"),
    [
        (TRACE, SHORT),
        ("<think>\n12 + 3 = 15\n</think>\n\nIt is \\boxed{15}.", "<think>\n\n</think>\n\nIt is \\boxed{15}."),
        ("guess 2 5 # 3 = 2 \\boxed{ 2 }", "\\boxed{ 2 }"),
        ("\\boxed{1} is wrong, \\boxed{2}", "\\boxed{2}"),
        (SHORT, SHORT),
    ],
)
def test_the_thought_is_dropped_and_the_answer_stays(response, left):
    assert without_thought(response) == left


@given(st.text(), st.text())
def test_what_follows_the_thought_is_unchanged(thought, answer):
    response = f"<think>{thought.replace('</think>', '')}</think>{answer}"
    assert without_thought(response).endswith(f"</think>{answer}")
    assert without_thought(without_thought(response)) == without_thought(response)


def test_a_response_without_either_is_refused():
    with pytest.raises(ValueError, match="init=ton finds neither <think> nor"):
        without_thought("3")


def test_what_belongs_to_the_old_responses_cannot_be_needed(monkeypatch):
    monkeypatch.setattr(registry, "_objectives", dict(registry._objectives))

    @register("rewritten", needs=("kind",))
    def weigh(tokens: Tokens) -> Weighting:
        raise NotImplementedError

    with pytest.raises(ValueError, match="rewritten rewrites the responses, so it cannot need their kind"):
        rewrites("rewritten")(lambda response, example, seed: response)
