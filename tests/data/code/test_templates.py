import pytest

from vcore_verl.data.code import templates

STARTER = "def mix(a, b):\n    # {statement}"


def test_the_instruction_for_cpp_is_the_papers():
    text = templates.code_cpp("Add {a} and {b}.")
    assert text.startswith("You are an expert competitive programmer. You will be given a problem statement, test case")
    assert "constraints, and example test inputs" in text and "implementation in c++17." in text
    assert "```cpp\n<your code here>\n```\n" in text
    assert text.endswith("\n# Problem\nAdd {a} and {b}.\n\nNow solve the problem and return the code.")


def test_the_instruction_for_python_differs_in_the_language_only():
    cpp, python = templates.program("x", "cpp").splitlines(), templates.program("x", "python").splitlines()
    changed = [(before, after) for before, after in zip(cpp, python, strict=True) if before != after]
    assert [(before.replace("c++17", "Python 3"), after) for before, after in changed[:1]] == [changed[0][1:] * 2]
    assert (
        changed[1][1] == "Your solution must read input from standard input (input) and write output to standard "
        "output (print)."
    )
    assert changed[2:] == [("```cpp", "```python")]


@pytest.mark.parametrize(
    "prompt",
    [
        templates.code_cpp("Add.\n\nTwice."),
        templates.code_python("Add.\n\nTwice."),
        templates.code_function("Add.\n\nTwice.", STARTER),
        templates.code_function("Add.\n\nTwice.", "int mix(int a);", "cpp"),
        " Add.\n\nTwice.\n",
    ],
)
def test_the_statement_is_found_again(prompt):
    assert templates.statement_of(prompt) == "Add.\n\nTwice."


def test_a_functions_header_is_shown_as_it_is():
    assert f"```python\n{STARTER}\n```" in templates.code_function("Mix.", STARTER)
    assert "```cpp\nint mix(int a);\n```" in templates.code_function("Mix.", "int mix(int a);\n", "cpp")
