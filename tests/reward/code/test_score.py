import asyncio
from functools import partial

import pytest

from reward import DOMAINS, compute_score, compute_score_async, domain_of
from reward.code.reference import Reference
from reward.code.store import Test, put
from reward.custom_reward_function import compute_score as for_verl
from reward.spans import ANSWER_SPANS

RIGHT = "<think>double it</think>\n```python\nprint(2 * int(input()))\n```"
ANSWERS = {
    RIGHT: "correct",
    "```python\nprint(3 * int(input()))\n```": "wrong",
    "```python\nprint(int(input())\n```": "parse_error",
    "```python\nprint(undefined)\n```": "runtime_error",
    "```python\nwhile True: pass\n```": "timeout",
    "It is twice the number.": "no_answer",
    "<think>```python\nprint(2 * int(input()))\n```": "no_answer",
}


@pytest.fixture
def truth(tmp_path):
    tests = [Test("3\n", "6\n"), Test("10\n", "20\n")]
    return Reference(put(tmp_path, tests), len(tests), cpu_seconds=1.0).dumps()


def test_every_domain_says_where_the_answer_is():
    assert ANSWER_SPANS.keys() == DOMAINS.keys()


def test_the_data_source_chooses_the_domain():
    assert domain_of("code/puzzles") is DOMAINS["code"]
    assert domain_of("openai/gsm8k") is domain_of("codeforces") is DOMAINS["math"]


def test_every_status_of_a_program(truth, tmp_path):
    found = {text: compute_score("code/x", text, truth, tests=str(tmp_path)) for text in ANSWERS}
    assert {text: score["status"] for text, score in found.items()} == ANSWERS
    assert [score["acc"] for score in found.values()] == [1.0, *[0.0] * 6]


def test_programs_are_scored_side_by_side_in_an_event_loop(truth, tmp_path):
    async def all_at_once():
        return await asyncio.gather(
            *(compute_score_async("code/x", text, truth, tests=str(tmp_path)) for text in ANSWERS)
        )

    assert [score["status"] for score in asyncio.run(all_at_once())] == list(ANSWERS.values())


def test_rows_of_both_domains_have_the_same_keys_for_verl(truth, tmp_path):
    program = for_verl("code/x", RIGHT, truth, tests=str(tmp_path))
    boxed = for_verl("vcore/arithmetic", "\\boxed{7}", "7", tests=str(tmp_path))
    assert program.keys() == boxed.keys()
    assert (program["domain"], boxed["domain"]) == ("code", "math")
    assert program["reward_tests_run"] == 2.0 and program["reward_cpu_seconds"] > 0
    assert boxed["reward_tests_run"] == boxed["reward_cpu_seconds"] == 0.0


def test_a_long_program_is_cut_so_that_equal_ones_stay_equal(truth, tmp_path):
    score = partial(compute_score, "code/x", ground_truth=truth, tests=str(tmp_path))
    long, other = (f"```python\n# {'x' * 300}\nprint({number})\n```" for number in (1, 2))
    found = [score(solution_str=text)["extracted"] for text in (long, long, other)]
    assert found[0] == found[1] != found[2] and {len(text) for text in found} == {200}


def test_the_answer_of_a_response_is_its_last_program():
    start, end = ANSWER_SPANS["code"](RIGHT)
    assert RIGHT[start:end].strip() == "print(2 * int(input()))"
    assert ANSWER_SPANS["code"]("no program") is None


def test_a_report_shows_how_many_tests_there_are(truth):
    assert DOMAINS["code"].shown(truth) == "2 tests"


def test_missing_tests_are_an_error_and_no_verdict(truth, tmp_path):
    with pytest.raises(FileNotFoundError):
        compute_score("code/x", RIGHT, truth, tests=str(tmp_path / "elsewhere"))
