import pytest

from vcore_verl.data.code import opencode, statements, templates
from vcore_verl.data.code.statements import CHECKED, SETS, Joined, Statements
from vcore_verl.data.hub import DataError

NOUNS = ["heron", "lantern", "ferry", "quarry", "violin", "saddle", "meadow", "turnip", "anchor", "chimney", "goblet"]


def told(index):
    """Statements that share their boilerplate, and two words of their own."""
    number = "".join(chr(ord("a") + int(digit)) for digit in f"{index:04d}")
    return (
        f"Given an array of integers, count the {NOUNS[index % 11]}{number} beside every {NOUNS[index % 7]}x{number}."
    )


def read(source, split):
    for index in range(200):
        row = dict.fromkeys(source.columns, "") | {"examples": []}
        yield row | {"question": told(index), "description": told(index)}


def rows(number, shift=0, dataset="taco"):
    for index in range(number):
        yield {
            "dataset": dataset,
            "split": "train",
            "index": str((index + shift) % 200),
            "r1_generation": f"<think>So we count. {told(index % 200)} Hm.</think>\n```cpp\nint main(){{}}\n```",
            "judgement": "right",
            "pass_rate": "1.0",
            "question_id": str(index),
        }


def joined(rows, whole=False):
    return Joined(list(rows), Statements(read, whole))


def test_rows_get_the_statement_at_their_position_as_often_as_they_are_read():
    join = joined(rows(30))
    assert [row["statement"] for row in join] == [told(index) for index in range(30)]
    assert [row["question_id"] for row in join] == [str(index) for index in range(30)]


@pytest.mark.parametrize("number", [20, 100, CHECKED])
def test_a_join_that_is_off_by_one_is_refused_in_one_line(number):
    with pytest.raises(DataError) as error:
        list(joined(rows(number, shift=1)))
    message = str(error.value)
    assert message.startswith(
        f"only 0 of {min(number, 100)} traces of nvidia/OpenCodeReasoning-2 fit the statements of"
    )
    assert all(source.revision in message for source in SETS[:1]) and "\n" not in message


@pytest.mark.parametrize(("wrong", "refused"), [(5, False), (10, True)])
def test_a_few_traces_that_do_not_retell_their_statement_are_chance(wrong, refused):
    mixed = [*rows(100 - wrong), *rows(wrong, shift=1)]
    if refused:
        with pytest.raises(DataError, match=f"only {100 - wrong} of 100"):
            list(joined(mixed * 4))
    else:
        assert len(list(joined(mixed * 4))) == 400


def test_each_set_is_checked_by_itself():
    with pytest.raises(DataError, match=r"only 0 of 25 traces .* of codeparrot/apps"):
        list(joined([*rows(2000), *rows(25, shift=3, dataset="apps")]))


@pytest.mark.parametrize("index", ["200", "-1", "x", ""])
def test_a_position_that_the_split_lacks_has_no_statement(index):
    assert Statements(read, whole=False).at("taco", "train", index) == ("", frozenset())


def test_a_set_or_split_that_was_not_there_is_refused():
    for dataset, split in (("leetcode", "train"), ("taco", "valid")):
        with pytest.raises(DataError, match=f"split '{split}' of '{dataset}', which is not one of taco"):
            Statements(read, whole=False).at(dataset, split, "0")


def test_a_split_with_another_number_of_rows_was_uploaded_again():
    with pytest.raises(
        DataError, match=r"split train of BAAI/TACO has 200 rows, but 25,443 at the revision .* d593ed0a"
    ):
        list(joined(rows(1), whole=True))


def test_every_set_is_pinned_to_a_commit():
    revisions = [source.revision for source in SETS] + [statements.REVISION]
    assert len(set(revisions)) == 5 and all(len(revision) == 40 for revision in revisions)


def test_a_codeforces_statement_is_put_together_from_its_parts():
    row = {
        "description": "Count.",
        "input_format": "One line.",
        "output_format": "",
        "examples": [{"input": "1", "output": "2"}],
        "note": "So.",
    }
    (codeforces,) = (source for source in SETS if source.dataset == "open-r1/codeforces")
    assert codeforces.statement(row) == (
        "Count.\n\nInput\n\nOne line.\n\nExamples\n\nInput\n\n1\n\nOutput\n\n2\n\nNote\n\nSo."
    )
    assert codeforces.statement(row | {"description": None}) == ""


def test_the_sets_name_their_problems():
    named = {source.dataset: source.names for source in SETS}
    assert named["open-r1/codeforces"]({"id": "1873/A"}) == {"codeforces/1873/a"}
    assert named["code_contests"]({"name": "1575_A. Another Sorting Problem"}) == {"codeforces/1575/a"}
    assert named["code_contests"]({"name": "p00001 Lamps"}) == frozenset()
    assert named["taco"]({"url": "https://atcoder.jp/contests/abc1/tasks/abc1_b"}) == {"atcoder/abc1_b"}


def test_a_joined_row_is_a_statement_with_its_trace():
    solved = opencode.opencode_2(next(iter(joined(rows(1)))))
    assert solved.statement == told(0) and solved.trace.startswith("<think>So we count.") and solved.group == "0"


@pytest.mark.parametrize(
    ("rate", "dropped"),
    [("1.0", False), ("0.8", False), ("0.79", True), ("-1", True), ("", True), ("nan", True), (None, True)],
)
def test_solutions_are_kept_by_the_share_of_tests_they_passed(rate, dropped):
    assert opencode.passing(0.8).rejects({"pass_rate": rate}) is dropped


def test_the_papers_filter_is_the_judgement():
    assert opencode.JUDGED_RIGHT.rejects({"judgement": "wrong"}) and not opencode.JUDGED_RIGHT.rejects(
        {"judgement": "right"}
    )


def test_a_row_of_the_first_edition_has_its_statement():
    assert opencode.opencode_1({"input": " Count. ", "output": "<think></think>"}).statement == "Count."
    assert opencode.opencode_1({"input": "-", "output": "x"}).statement == ""


def test_the_papers_own_rows_have_their_statement_in_its_template():
    solved = opencode.vcore_code({"question": templates.code_cpp("Count."), "cot": "<think></think>"})
    assert (solved.statement, solved.group) == ("Count.", "Count.")
