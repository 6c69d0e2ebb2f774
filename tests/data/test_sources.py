import json
from functools import partial

import pytest

from vcore_verl.data import templates
from vcore_verl.data.code.templates import program
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Published, local_files, mirror_folder, mirrored_files
from vcore_verl.data.sources import CODE, DAPO, known, open_source, recognise

BIG_MATH = "SynthLabsAI/Big-Math-RL-Verified"
SAMPLES = mirror_folder("builtin:samples")
ROLES = [(role, name) for role in ("sft", "rl") for name in known(role)]
KILN = (
    "A potter fires jugs in a kiln. A jug cracks if it is hotter than the jug fired just before it by more than ten "
    "degrees. Count the cracked jugs."
)
BREWER = (
    "In the next valley they do it differently. A brewer ladles beer for a line of porters. Whoever brought a bcrow "
    "that is smaller than the previous monk's gets it filled twice. How many ladles of one pint are poured, if a bcrow "
    "of x pints takes x ladles?"
)
FIRST = {
    **dict.fromkeys(
        [f"agentica-org/DeepCoder-Preview-Dataset:{language}" for language in ("cpp", "python")],
        (BREWER, "", "code/deepcoder"),
    ),
    **dict.fromkeys(
        [
            "nvidia/OpenCodeReasoning-2:python",
            "nvidia/OpenCodeReasoning-2:cpp",
            "nvidia/OpenCodeReasoning",
            "XanderGong/VCORE-data:code",
        ],
        (KILN, "", ""),
    ),
    "nvidia/OpenMathReasoning": ("What is the value of $3^4 - 4^3$?", "17", ""),
    "XanderGong/VCORE-data": ("What is the least common multiple of $12$ and $18$?", "", ""),
    BIG_MATH: ("What is the perimeter of a square whose area is $49$?", "28", BIG_MATH),
    "open-r1/Big-Math-RL-Verified-Processed": ("What is the perimeter of a square whose area is $49$?", "28", BIG_MATH),
    DAPO: ("Find the number of positive integers less than $100$ that are multiples of $6$ or $8$.", "24", DAPO),
}


@pytest.mark.parametrize(("role", "name"), ROLES)
def test_a_published_row_becomes_an_example_with_the_papers_prompt(role, name):
    source, opened = open_source(role, name, SAMPLES, None)
    example = source.example(next(iter(opened.rows)))
    problem, answer, data_source = FIRST[name]
    asked = example.problem.partition("\n\n")[0] if source.domain == CODE else example.problem
    assert (asked, example.answer, example.data_source) == (problem, answer, data_source)
    language = "cpp" if name.endswith((":cpp", ":code")) else "python"
    template = partial(program, language=language) if source.domain == CODE else templates.math
    assert example.prompt == [{"role": "user", "content": template(example.problem)}]
    assert example.trace.startswith("<think>\n") == (role == "sft")
    assert "Answer:" not in example.prompt[0]["content"]


def test_a_conversation_is_taken_as_it_is():
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": templates.math("1+1?")},
        {"role": "assistant", "content": "<think>two</think>\\boxed{2}"},
    ]
    example = recognise("sft", "x", {"messages"}).example({"messages": turns})
    assert (example.problem, example.prompt, example.trace) == ("1+1?", turns[:2], turns[2]["content"])


def test_a_row_in_verls_form_keeps_its_prompt_and_grader():
    row = {
        "data_source": "openai/gsm8k",
        "prompt": [{"role": "user", "content": "1+1? End with ####."}],
        "reward_model": {"style": "rule", "ground_truth": "2"},
    }
    example = recognise("rl", "x", set(row)).example(row)
    assert (example.prompt, example.answer, example.data_source) == (row["prompt"], "2", "openai/gsm8k")


@pytest.mark.parametrize(("role", "name"), ROLES)
def test_a_copy_of_a_source_is_recognised_by_its_columns(role, name, tmp_path):
    source = known(role)[name]
    copied, *_ = sorted(file for file in mirrored_files(source.published, SAMPLES) if "00001-of-00002" not in file.name)
    target = tmp_path / f"rows{copied.suffix}"
    target.write_text(copied.read_text())
    found, opened = open_source(role, str(target), SAMPLES, None)
    assert found.columns == source.columns
    problem = found.example(next(iter(opened.rows))).problem
    assert FIRST[name][0] in problem if source.domain == CODE else problem == FIRST[name][0]


@pytest.mark.parametrize(
    ("role", "row", "message"),
    [
        (
            "sft",
            {"text": "a"},
            r"its columns \(text\) fit no source \(.*; nvidia/OpenMathReasoning: problem, generated_sol",
        ),
        ("sft", {"messages": [], "question": "a", "cot": "b"}, r"fit several sources \(XanderGong/VCORE-data: questio"),
        ("rl", {"problem": "a"}, r"fit no source \(.*; SynthLabsAI/Big-Math-RL-Verified: problem, answer, source,"),
    ],
)
def test_rows_of_no_known_form_are_refused_in_one_line(role, row, message, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=message) as raised:
        open_source(role, str(file), None, None)
    assert "\n" not in str(raised.value)


def test_a_mirrors_files_are_those_of_the_configuration_and_split():
    processed = mirrored_files(known("rl")["open-r1/Big-Math-RL-Verified-Processed"].published, SAMPLES)
    assert [file.parent.name for file in processed] == ["all"]
    reasoning = mirrored_files(known("sft")["nvidia/OpenMathReasoning"].published, SAMPLES)
    assert [file.name for file in reasoning] == ["cot-00000-of-00002.jsonl", "cot-00001-of-00002.jsonl"]


def test_what_a_mirror_or_a_path_lacks_is_said_in_one_line(tmp_path):
    with pytest.raises(DataError, match="holds no owner/set: on a machine with internet, hf download"):
        mirrored_files(Published("owner/set", "train"), tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match="unknown kind or empty"):
        local_files(tmp_path)
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "a.parquet").touch()
    with pytest.raises(DataError, match=r"several kinds \(\.jsonl, \.parquet\)"):
        local_files(tmp_path)


def test_problems_of_ones_own_are_not_filtered_like_big_math():
    source = recognise("rl", "mine.jsonl", {"problem", "answer"})
    assert (source.name, source.filters) == ("problems", ())
    assert source.example({"problem": "1+1?", "answer": 2}).data_source == "math"


def test_a_broken_line_is_named_with_its_file_and_key(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"problem": "1+1?", "answer": "2"}) + "\n{broken\n")
    with pytest.raises(DataError, match=r"^data\.rl: line 2 of .*mine\.jsonl is not JSON \(") as raised:
        open_source("rl", str(file), None, None)
    assert "\n" not in str(raised.value)
