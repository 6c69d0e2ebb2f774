from collections import Counter
from dataclasses import asdict, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward.custom_reward_function import compute_score
from vcore_verl.builtin import laboratory, tokenizer
from vcore_verl.builtin.base_model import encode
from vcore_verl.builtin.laboratory import BOX, CLEAN, CLOSE, FAMILIAR, NEW, NOISY, Mixture, Problem
from vcore_verl.builtin.task import SPLITS
from vcore_verl.objectives.kinds import KINDS
from vcore_verl.sft.dataset import token_kinds

SPOTLESS = Mixture(careful=1.0, leak=0.0, filler=0.0, false_start=0.0, mistake=0.0, ok=0.0)
PROBLEM = Problem(9, (("+", 7), ("#", 10)))
SETS = ("sft", "rl", *laboratory.TESTS)


def parts(problem: Problem, mixture: Mixture, seed: int = 0) -> list[tuple[str, str]]:
    trace = laboratory.solve(problem, mixture, Random(seed))
    return [(trace.text[span.start : span.end].strip(), span.kind) for span in trace.spans]


def score(response: str, answer: int) -> float:
    return compute_score("vcore/laboratory", response, str(answer), {})["score"]


def test_the_operations_are_modulo_11():
    assert [laboratory.apply(9, symbol, 7) for symbol in "+-#"] == [5, 2, 3]
    assert laboratory.apply(2, "-", 7) == 6
    assert PROBLEM.question == "9 + 7 # 10 ?"
    assert PROBLEM.answer == 9


def test_a_hash_is_worked_out_or_done_at_once():
    careful = laboratory.solve(PROBLEM, SPOTLESS, Random(0))
    hasty = laboratory.solve(PROBLEM, replace(SPOTLESS, careful=0.0), Random(0))
    assert careful.text == "9 + 7 = 5 5 # 10 : 5 + 5 = 10 + 10 = 9 \\boxed{ 9 }"
    assert hasty.text == "9 + 7 = 5 5 # 10 = 9 \\boxed{ 9 }"


def test_every_token_of_a_worked_out_line_has_its_kind():
    assert parts(Problem(5, (("#", 10),)), SPOTLESS) == [
        ("5 # 10", "step"),
        (":", "choice_careful"),
        ("5 + 5 =", "step"),
        ("10", "value"),
        ("+ 10 =", "step"),
        ("9", "value"),
        (BOX, "step"),
        ("9 }", "answer"),
    ]


def test_what_is_noisy_is_of_the_kind_of_noise():
    noisy = Mixture(careful=0.0, leak=1.0, filler=0.0, false_start=1.0, mistake=1.0, ok=1.0)
    assert parts(Problem(5, (("#", 10),)), noisy) == [
        ("guess 9", "leak"),
        ("5 #", "step"),
        ("8", "false_start"),
        ("no", "verify"),
        ("5 # 10", "step"),
        ("=", "choice_hasty"),
        ("4", "mistake"),
        ("no", "verify"),
        ("5 # 10", "step"),
        ("=", "choice_hasty"),
        ("9", "hasty"),
        ("ok", "verify"),
        (BOX, "step"),
        ("9 }", "answer"),
    ]


def test_the_first_problems_of_every_set():
    first = {name: [problem.question for problem in FAMILIAR.draw(name, 2, Random(1))] for name in SETS}
    assert first == {
        "sft": ["8 - 9 # 0 # 6 ?", "7 + 5 + 6 + 5 - 0 + 8 - 8 ?"],
        "rl": ["7 # 7 # 10 ?", "0 # 3 # 8 ?"],
        "in_domain": ["3 # 5 # 3 # 10 # 3 ?", "8 + 6 # 9 - 0 ?"],
        "out_of_domain": ["4 + 1 + 5 - 8 - 6 + 8 # 10 ?", "1 # 6 # 2 - 2 # 5 + 1 - 9 ?"],
        "kept": ["9 - 4 + 2 - 0 + 8 - 0 - 9 ?", "9 + 7 - 2 - 9 - 8 + 1 ?"],
    }


def test_the_first_traces():
    rng = Random(2)
    traces = [FAMILIAR.solve(problem, rng).text for problem in FAMILIAR.draw("sft", 3, Random(1))]
    assert traces == [
        "so 8 - 9 = 10 wait 10 # 0 = 10 no 10 # 0 = 9 9 # 6 = 2 \\boxed{ 2 }",
        "guess 1 hmm 7 + 5 = 1 1 + 6 = 8 no 1 + 6 = 7 ok see 7 + 5 = 7 no 7 + 5 = 1 1 - 0 = "
        "1 1 + 8 = 7 no 1 + 8 = 9 now 9 - 8 = 1 \\boxed{ 1 }",
        "9 # 2 = 9 9 + 5 = 3 now 3 # 4 = 10 \\boxed{ 10 }",
    ]


def test_the_first_pretraining_problems():
    (batch,) = FAMILIAR.pretraining(1, 3, Random(0))
    assert [(problem.question, trace.text) for problem, trace in batch] == [
        ("10 - 2 - 2 + 0 - 1 + 8 ?", "10 - 2 = 8 8 - 2 = 6 6 + 0 = 6 6 - 1 = 5 5 + 8 = 3 no 5 + 8 = 2 \\boxed{ 2 }"),
        ("8 - 4 - 2 + 3 + 7 + 5 ?", "8 - 4 = 4 ok 4 - 2 = 2 ok 2 + 3 = 5 5 + 7 = 1 then 1 + 5 = 6 ok \\boxed{ 6 }"),
        ("0 - 6 + 3 - 8 - 10 ?", "0 - 10 no 0 - 6 = 5 ok hmm 5 + 3 = 8 ok 8 - 8 = 0 0 - 10 = 1 \\boxed{ 1 }"),
    ]


@pytest.mark.parametrize("task", [FAMILIAR, NEW])
def test_kinds_have_the_shares_of_the_reference(task: laboratory.Laboratory):
    """Of the reference measured in pure torch, whose answer ends with its only other token, the end of the sequence."""
    tokens, rng, counts = tokenizer.build(task.words), Random(0), Counter()
    for problem in task.draw("sft", 2000, Random(0)):
        trace = task.solve(problem, rng)
        counts.update(token_kinds(encode(problem.question, trace.text, tokens), [asdict(s) for s in trace.spans]))
    shares = {kind: 100 * count / counts.total() for kind, count in counts.items()}
    assert shares == pytest.approx(
        {
            "step": 63,
            "value": 10.5,
            "verify": 5.4,
            "answer": 5.3,
            "filler": 3.8,
            "choice_careful": 2.9,
            "end of sequence": 2.7,
            "mistake": 2.1,
            "leak": 1.6,
            "choice_hasty": 1.2,
            "hasty": 1.0,
            "false_start": 0.7,
        },
        rel=0.15,
    )
    assert set(shares) <= set(KINDS)


def test_only_the_familiar_regimes_base_model_has_met_a_hash():
    hashes = [
        sum("#" in problem.question for batch in task.pretraining(8, 64, Random(0)) for problem, _ in batch)
        for task in (FAMILIAR, NEW)
    ]
    assert hashes == [64, 0]


def test_every_bucket_belongs_to_exactly_one_split():
    assert sorted(bucket for buckets in SPLITS.values() for bucket in buckets) == list(range(100))


def test_no_evaluation_set_shares_a_problem_with_training_or_another():
    training = {p for name in ("sft", "rl") for p in FAMILIAR.draw(name, 4000, Random(0))}
    training |= {p for batch in FAMILIAR.pretraining(40, 100, Random(0)) for p, _ in batch}
    tests = [set(FAMILIAR.draw(name, 300, Random(seed))) for seed, name in enumerate(laboratory.TESTS)]
    assert [len(problems) for problems in tests] == [300, 300, 300]
    assert len(training.union(*tests)) == len(training) + 900
    assert not set(FAMILIAR.draw("sft", 4000, Random(0))) & set(FAMILIAR.draw("rl", 4000, Random(0)))


def test_the_sets_are_what_their_names_say():
    drawn = {name: FAMILIAR.draw(name, 100, Random(0)) for name in laboratory.TESTS}
    lengths = {name: {len(problem.steps) for problem in problems} for name, problems in drawn.items()}
    assert lengths == {"in_domain": {2, 3, 4}, "out_of_domain": {5, 6}, "kept": {5, 6}}
    assert all("#" in problem.question for name in ("in_domain", "out_of_domain") for problem in drawn[name])
    assert not any("#" in problem.question for problem in drawn["kept"])
    plain = [problem for problem in FAMILIAR.draw("sft", 2000, Random(0)) if "#" not in problem.question]
    assert len(plain) / 2000 == pytest.approx(0.3, abs=0.04)
    assert {len(problem.steps) for problem in plain} == {1, 2, 3, 4, 5, 6}


@given(st.integers(0, 2**32), st.sampled_from([CLEAN, NOISY]), st.sampled_from(SETS))
def test_every_trace_is_graded_correct_and_with_another_answer_wrong(seed: int, mixture: Mixture, name: str):
    (problem,) = FAMILIAR.draw(name, 1, Random(seed))
    text = laboratory.solve(problem, mixture, Random(seed)).text
    right = f"{BOX} {problem.answer} {CLOSE}"
    assert text.endswith(right)
    assert score(text, problem.answer) == 1.0
    for wrong in set(range(11)) - {problem.answer}:
        assert score(text.removesuffix(right) + f"{BOX} {wrong} {CLOSE}", problem.answer) == 0.0


@pytest.mark.parametrize(
    "response", ["9 + 7 = 5", "\\boxed{ 5", "\\boxed{ }", "\\boxed{ 9 + 7 }", "guess 5", "\\boxed{ 5 } \\boxed{ 6 }"]
)
def test_what_is_no_answer_is_worth_nothing(response: str):
    assert score(response, 5) == 0.0


@given(st.integers(0, 2**32), st.sampled_from([CLEAN, NOISY]))
def test_spans_cover_a_trace_and_every_word_is_one_token_of_one_kind(seed: int, mixture: Mixture):
    (problem,) = FAMILIAR.draw("sft", 1, Random(seed))
    trace = laboratory.solve(problem, mixture, Random(seed))
    edges = [0, *(part.end for part in trace.spans)]
    assert edges[:-1] == [part.start for part in trace.spans]
    assert edges[-1] == len(trace.text)
    tokens = tokenizer.build(FAMILIAR.words)
    assert len(tokens.encode(trace.text)) == len(trace.text.split())
    assert tokens.decode(tokens.encode(trace.text), skip_special_tokens=True) == trace.text
