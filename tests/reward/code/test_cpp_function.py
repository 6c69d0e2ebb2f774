import json

import pytest

from reward.code.cpp import compile_cpp
from reward.code.cpp_function import STDOUT, arguments, with_main
from reward.code.jail import Jail, Limits
from reward.code.reference import Reference
from reward.code.store import Test
from reward.code.verdict import judge_program

ECHO = "class Solution {{\npublic:\n    {type} echo({type} given) {{ return given; }}\n}};"


@pytest.fixture(scope="module")
def jail():
    jail = Jail()
    yield jail
    jail.close()


def verdict(jail, source, function, *tests, cpu_seconds=2.0):
    reference = Reference("0" * 64, len(tests), function=function, language="cpp", cpu_seconds=cpu_seconds)
    return judge_program(source, reference, [Test(*test) for test in tests], jail)


MATRIX = """
class Solution {
public:
    string row(vector<vector<string>>& words, int index, const vector<bool>& flags, char end, double weight) {
        string joined;
        for (auto& word : words[index]) joined += word;
        for (bool flag : flags) joined += flag ? '1' : '0';
        return joined + end + to_string(int(4 * weight));
    }
};
"""


def test_the_methods_types_decide_how_arguments_are_read(jail):
    given = '[["a"], ["", "\\u00e9 \\"x\\""]]\n1\n[true, false]\n"!"\n0.75'
    assert verdict(jail, MATRIX, "row", (given, '"\\u00e9 \\"x\\"10!3"')).status == "correct"


@pytest.mark.parametrize(
    ("type", "values"),
    [
        ("int", ["-7", "2147483647"]),
        ("long long", ["-9223372036854775808"]),
        ("double", ["0.1", "-1e300", "3"]),
        ("bool", ["true", "false"]),
        ("char", ['"a"', '"\\""']),
        ("string", ['""', '"two words"', '"\\u0001\\\\\\n"', '"\\ud83d\\ude00"']),
        ("vector<int>", ["[]", "[1, 2]"]),
        ("vector<vector<char>>", ['[["a", "b"], []]']),
        ("vector<bool>", ["[true, false]"]),
    ],
)
def test_a_value_comes_back_as_it_went_in(jail, type, values):
    found = verdict(jail, ECHO.format(type=type), "echo", *((value, value) for value in values))
    assert (found.status, found.tests_passed) == ("correct", len(values)), found.message


SUM = "class Solution {{\npublic:\n    {before}int sum(vector<int>& values){after} {{ {body} }}\n}};{more}"
RIGHT = {"before": "", "after": "", "body": "return accumulate(values.begin(), values.end(), 0);", "more": ""}


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({}, "correct", ""),
        ({"before": "static "}, "correct", ""),
        ({"after": " const"}, "correct", ""),
        (
            {"more": "\nint main() { vector<int> v{1}; cout << Solution().sum(v); }\n#define int long long"},
            "correct",
            "",
        ),
        ({"body": 'cout << "1"; return values[0] + values[1];'}, "correct", ""),
        ({"body": "return values[0];"}, "wrong", "returned '1' instead of '3'"),
        ({"body": 'puts("3"); return 0;'}, "wrong", "returned '0' instead of '3'"),
        ({"body": 'write(3, "3\\n", 2); return 3;'}, "wrong", "no value"),
        ({"body": "exit(0);"}, "wrong", "no value"),
        ({"body": "return values.at(9);"}, "runtime_error", "_M_range_check"),
        ({"body": "abort();"}, "runtime_error", "SIGABRT"),
        ({"body": "while (true); return 1;"}, "timeout", "cpu"),
        ({"body": "return missing;"}, "parse_error", "solution.cpp:3"),
        ({"more": "\nclass X : Solution { void sum(); } x; int y = x.sum();"}, "parse_error", "solution.cpp:5"),
    ],
)
def test_every_status_of_a_function(jail, changed, status, message):
    found = verdict(jail, SUM.format(**RIGHT | changed), "sum", ("[1, 2]", "3"), cpu_seconds=1.0)
    assert found.status == status and message in found.message, found


def test_a_program_without_the_method_does_not_compile(jail):
    assert verdict(jail, "int sum(vector<int> v) { return 3; }", "sum", ("[1, 2]", "3")).status == "parse_error"


def test_arguments_of_other_types_are_no_wrong_answer(jail):
    found = verdict(jail, ECHO.format(type="int"), "echo", ('"a"', '"a"'))
    assert (found.status, found.message) == ("runtime_error", "the arguments are of other types")


def test_where_there_is_no_descriptor_for_it_the_value_is_all_that_is_printed(jail):
    source = SUM.format(**RIGHT | {"body": 'cout << "noise" << endl; return values[0];'})
    run = jail.run(compile_cpp(with_main(source, "sum", STDOUT), jail), arguments(b"[1, 2]"), Limits(cpu_seconds=2.0))
    assert run.stdout == b"1\n" and run.value is None


def test_what_cpp_is_not_given_is_refused():
    assert arguments(b'[1, "\\u00e9"]\ntrue') == "2 1 2 é 1 ".encode()
    with pytest.raises(ValueError, match="a C\\+\\+ function takes no dict"):
        arguments(json.dumps({"a": 1}).encode())
