import time

import pytest

from reward.code.blocks import program_block


def python(text: str) -> str:
    return f"```python\n{text}\n```"


def test_the_last_closed_block_counts():
    response = f"First idea:\n{python('print(1)')}\nBetter:\n{python('print(2)')}\nDone."
    assert program_block(response, "python").source == "print(2)\n"


def test_the_span_holds_the_program():
    response = f"Grüße 漢字\n{python('print(2)')}\nDone."
    block = program_block(response, "python")
    assert response[slice(*block.span)] == block.source == "print(2)\n"
    assert block.language == "python"


@pytest.mark.parametrize(
    "response",
    [
        "",
        "print(1)",
        "```python\nprint(1)",
        "```python\nprint(1)\n",
        "the box `print(1)`",
        "``\nprint(1)\n``",
        f"<think>{python('print(1)')}",
        f"<think>\n{python('print(1)')}\n</think>\nSo print(1).",
    ],
)
def test_without_a_closed_block_after_the_thinking_there_is_no_program(response):
    assert program_block(response, "python") is None


def test_blocks_in_the_thinking_do_not_count():
    response = f"<think>\n{python('print(1)')}\n</think>\n{python('print(2)')}"
    assert program_block(response, "python").source == "print(2)\n"


def test_a_fence_that_the_thinking_left_open_closes_nothing_after_it():
    response = f"<think>\n```python\nprint(1)\n</think>\n{python('print(2)')}"
    assert program_block(response, "python").source == "print(2)\n"


def test_a_block_cut_off_at_the_end_leaves_the_previous_one():
    response = f"{python('print(1)')}\n```python\nprint(2"
    assert program_block(response, "python").source == "print(1)\n"


def test_a_labelled_fence_restarts_a_block_that_was_never_closed():
    response = f"```python\nprint(1\n\nOnce more:\n{python('print(2)')}"
    assert program_block(response, "python").source == "print(2)\n"


@pytest.mark.parametrize(
    "label", ["python", "Python", "python3", "py", " python ", "python title=a.py", "{.python}", ""]
)
def test_labels_of_the_language(label):
    response = f"```{label}\nprint(1)\n```\nOutput:\n```text\n7\n```"
    assert program_block(response, "python").source == "print(1)\n"


@pytest.mark.parametrize("label", ["cpp", "C++", "c++17", "cc", ""])
def test_labels_of_cpp(label):
    response = f"```{label}\nint main() {{}}\n```\nRun it:\n```bash\n./a.out\n```"
    assert program_block(response, "cpp").source == "int main() {}\n"


def test_a_foreign_label_counts_where_it_is_the_only_one():
    assert program_block("```plaintext\nprint(1)\n```", "python").source == "print(1)\n"


def test_without_a_language_every_label_counts():
    assert program_block(f"{python('print(1)')}\n```text\n7\n```").source == "7\n"


def test_a_longer_fence_holds_shorter_ones_as_text():
    response = '````python\ntext = """\n```python\n```\n"""\n````'
    assert program_block(response, "python").source == 'text = """\n```python\n```\n"""\n'


def test_the_indentation_of_a_list_is_removed():
    response = "1. Program:\n   ```python\n   if x:\n       print(1)\n\n   print(2)\n   ```\n"
    block = program_block(response, "python")
    assert block.source.rstrip(" ") == "if x:\n    print(1)\n\nprint(2)\n"
    assert "   print(2)\n" in response[slice(*block.span)]


def test_carriage_returns_at_the_fences():
    assert program_block("```python\r\nprint(1)\r\n```\r\n", "python").source == "print(1)\r\n"


def test_an_empty_block_is_an_empty_program():
    assert program_block("```python\n```", "python").source == ""


def test_backquotes_inside_a_line_are_text():
    response = python("fence = '```'\nprint(fence)  # ``` done")
    assert program_block(response, "python").source == "fence = '```'\nprint(fence)  # ``` done\n"


@pytest.mark.parametrize("piece", ["```\n", "```python\n", "`" * 10, "\n" * 10, " " * 10, "</think>", "```x"])
def test_a_megabyte_of_fences_takes_no_time(piece):
    response = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    program_block(response, "python")
    assert time.process_time() - begun < 2
