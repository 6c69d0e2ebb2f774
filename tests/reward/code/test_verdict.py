import json
import shutil

import pytest

from reward.code import store
from reward.code.jail import Jail
from reward.code.reference import Reference
from reward.code.verdict import judge, judge_program

SHA = "0" * 64
PRODUCT = "a, b = map(int, input().split())\nprint(a * b)"
TESTS = [store.Test("6 7\n", "42\n"), store.Test("11 11\n", "121\n")]


@pytest.fixture(scope="module")
def jail():
    jail = Jail()
    yield jail
    jail.close()


def respond(source: str, language: str = "python") -> str:
    return f"<think>\nMultiply them.\n</think>\nThe program:\n```{language}\n{source}\n```\n"


def reference(folder, tests=TESTS, **fields) -> str:
    return Reference(store.put(folder, tests), len(tests), **fields).dumps()


@pytest.mark.parametrize(
    ("response", "status", "tests_run", "tests_passed", "message"),
    [
        (respond(PRODUCT), "correct", 2, 2, ""),
        (respond("print(42)"), "wrong", 2, 1, r"printed '42\n' instead of '121\n'"),
        (respond("print(1)"), "wrong", 1, 0, r"printed '1\n' instead of '42\n'"),
        (respond("print(int('x'))"), "runtime_error", 1, 0, "ValueError: invalid literal"),
        (respond("while True: pass"), "timeout", 1, 0, "over the limit: cpu"),
        (respond("block = bytearray(2 ** 30)"), "timeout", 1, 0, "over the limit: memory"),
        (respond("print(42"), "parse_error", 0, 0, "SyntaxError: '(' was never closed"),
        (respond("print('é' + \ud800)"), "parse_error", 0, 0, "SyntaxError"),
        (respond("raise SyntaxError('no')"), "runtime_error", 1, 0, "SyntaxError: no"),
        ("<think>\nWhat?", "no_answer", 0, 0, "no closed code block"),
        ("```python\nprint(42)", "no_answer", 0, 0, "no closed code block"),
    ],
)
def test_every_status(tmp_path, jail, response, status, tests_run, tests_passed, message):
    verdict = judge(response, reference(tmp_path, cpu_seconds=1, memory_mb=256), tmp_path, jail)
    assert (verdict.status, verdict.tests_run, verdict.tests_passed) == (status, tests_run, tests_passed)
    assert message in verdict.message and len(verdict.message) <= 200


def test_a_verdict_holds_the_program_and_its_cost(tmp_path, jail):
    verdict = judge(respond(PRODUCT), reference(tmp_path), tmp_path, jail)
    assert verdict.extracted == f"{PRODUCT}\n"
    assert 0 < verdict.cpu_seconds < 6
    assert verdict.waited_seconds >= 0


def test_the_extracted_program_is_utf8_without_nuls(jail):
    verdict = judge_program("x = '\ud800\0'", Reference(SHA, 1), TESTS, jail)
    assert verdict.extracted == "x = '? '"


def test_a_program_over_64_kilobytes_is_not_run(jail):
    longest = PRODUCT + "\n#".ljust(64 * 1024 - len(PRODUCT), "x")
    assert judge_program(longest, Reference(SHA, 2), TESTS, jail).status == "correct"
    verdict = judge_program(longest + "x", Reference(SHA, 2), TESTS, jail)
    assert (verdict.status, verdict.tests_run, verdict.message) == ("parse_error", 0, "longer than 64 KB")


def test_rl_runs_the_longest_inputs_the_shortest_of_them_first(jail):
    """The program accepts inputs shorter than its limit, so the number of tests passed tells which ran before."""
    tests = [store.Test("x" * size + "\n", f"{size}\n") for size in (3, 9, 1, 7, 5)]
    accepts = "text = input()\nprint(len(text) if len(text) < {} else 'too long')"
    found = []
    for limit in (9, 7, 5, 10):
        verdict = judge_program(accepts.format(limit), Reference(SHA, 5), tests, jail, max_tests=3)
        found.append((verdict.status, verdict.tests_run, verdict.tests_passed))
    assert found == [("wrong", 3, 2), ("wrong", 2, 1), ("wrong", 1, 0), ("correct", 3, 3)]


def test_evaluation_runs_all_tests_in_their_order(jail):
    tests = [store.Test("x" * size + "\n", f"{size}\n") for size in (3, 9, 1)]
    verdict = judge_program("print(3)", Reference(SHA, 3), tests, jail)
    assert (verdict.tests_run, verdict.tests_passed) == (2, 1)
    assert judge_program("print(len(input()))", Reference(SHA, 3), tests, jail, max_tests=15).tests_passed == 3


@pytest.mark.parametrize(("compare", "status"), [("lines", "wrong"), ("tokens", "wrong"), ("floats", "correct")])
def test_the_reference_chooses_the_comparison(jail, compare, status):
    tests = [store.Test("", "0.3333333333\n")]
    assert judge_program("print(1 / 3)", Reference(SHA, 1, compare=compare), tests, jail).status == status


def test_a_function_is_called_with_the_values_on_the_lines(tmp_path, jail):
    ground_truth = reference(tmp_path, [store.Test('[1, 2]\n"ab"', '[1, 2, "ab"]')], function="join")
    method = "class Solution:\n    def join(self, xs: List[int], text: str):\n        return {}"
    assert judge(respond(method.format("(*xs, text)")), ground_truth, tmp_path, jail).status == "correct"
    verdict = judge(respond(method.format("xs")), ground_truth, tmp_path, jail)
    assert (verdict.status, verdict.message) == ("wrong", """returned '[1, 2]' instead of '[1, 2, "ab"]'""")


def test_expected_answers_do_not_enter_the_jail(jail):
    """The program prints all that it was given, and finds its own text and the input but no answer."""
    spy = "import gc, sys\nfound = [o for o in gc.get_objects() if isinstance(o, (list, dict))]\n"
    spy += "print('731' + '9917' in repr(found) + repr(sys._getframe().f_globals) + sys.stdin.read())"
    verdict = judge_program(spy, Reference(SHA, 1), [store.Test("5\n", "7319917\n")], jail)
    assert (verdict.status, verdict.message) == ("wrong", r"printed 'False\n' instead of '7319917\n'")


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("#include <bits/stdc++.h>\nint main() { long a, b; std::cin >> a >> b; std::cout << a * b; }", "correct"),
        ("int main() { return 1; }", "runtime_error"),
        ("int main() { for (volatile int i = 0;; ) i++; }", "timeout"),
        ("int main() { return x; }", "parse_error"),
        ("print(42)", "parse_error"),
    ],
)
def test_cpp(tmp_path, jail, source, status):
    ground_truth = reference(tmp_path, language="cpp", cpu_seconds=1)
    assert judge(respond(source, "cpp"), ground_truth, tmp_path, jail).status == status


@pytest.mark.parametrize("ground_truth", ["42", "{}", json.dumps({"tests": "x", "num_tests": 1})])
def test_another_ground_truth_is_an_error_and_no_verdict(tmp_path, jail, ground_truth):
    with pytest.raises(ValueError, match="ground truth of a programming problem"):
        judge(respond(PRODUCT), ground_truth, tmp_path, jail)


def test_missing_tests_are_an_error_even_without_an_answer(tmp_path, jail):
    with pytest.raises(FileNotFoundError, match="prepare the data again"):
        judge("no program", Reference("a" * 64, 1).dumps(), tmp_path, jail)


def test_a_program_that_nothing_here_can_judge_fails(tmp_path, jail):
    truth = Reference("", 0).dumps()
    verdict = judge("```python\nprint(1)\n```", truth, tmp_path, jail)
    assert (verdict.status, verdict.extracted, verdict.tests_run) == ("wrong", "print(1)\n", 0)
    assert judge("I do not know.", truth, tmp_path, jail).status == "no_answer"
