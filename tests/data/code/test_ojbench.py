import struct
import zipfile

import pytest

from vcore_verl.data.code import ojbench
from vcore_verl.data.hub import DataError

INIT = "archive: tests.zip\ntest_cases:\n- {in: 1.in, out: 1.out, points: 50}\n- {in: 2.in, out: 2.out}\n"
FILES = {"1.in": "1 2\n", "1.out": "3\n", "2.in": "5 6\n", "2.out": "11\n"}
ROW = {"id": 77, "prompt": "Write C++. Add.", "dataset": "NOI", "language": "cpp", "difficulty": "easy"}


def made(root, init=INIT, files=FILES, row=ROW):
    folder = root / row["dataset"] / ojbench.identifier_of(row)
    folder.mkdir(parents=True)
    (folder / "init.yml").write_text(init)
    with zipfile.ZipFile(folder / "tests.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return folder


def test_tests_are_those_that_the_init_file_names_in_its_order(tmp_path):
    made(tmp_path, files=FILES | {"unused.in": "x"})
    problem = ojbench.problem(ROW, tmp_path)
    assert [tuple(test) for test in problem.tests] == [("1 2\n", "3\n"), ("5 6\n", "11\n")]
    assert (problem.problem_id, problem.language, problem.compare) == ("ojbench-loj-77-cpp", "cpp", "tokens")
    assert (problem.cpu_seconds, problem.memory_mb, problem.unjudged) == (10.0, 1024, "")
    assert problem.prompt == [{"role": "user", "content": "Write C++. Add."}] and problem.names == {"loj/77"}


def test_batches_are_tests_like_others(tmp_path):
    batched = "archive: tests.zip\ntest_cases:\n- batched: [{in: 2.in, out: 2.out}]\n- {in: 1.in, out: 1.out}\n"
    made(tmp_path, batched)
    assert [test.output for test in ojbench.problem(ROW, tmp_path).tests] == ["11\n", "3\n"]


@pytest.mark.parametrize(
    ("checker", "compare"),
    [
        ("standard", "tokens"),
        ("floats", "floats"),
        ("{name: floats, args: {precision: 6}}", "floats"),
        ("{name: standard}", "tokens"),
    ],
)
def test_checkers_become_comparisons(checker, compare, tmp_path):
    made(tmp_path, f"{INIT}checker: {checker}\n")
    assert ojbench.problem(ROW, tmp_path).compare == compare


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("checker: chk.py", "it needs the checker chk.py"),
        ("checker: {name: floats, args: {precision: 3}}", "it needs the checker floats (precision=3)"),
        ("checker: {name: bridged, args: {files: c.cpp}}", "it needs the checker bridged (files=c.cpp)"),
        ("grader: g.py", "it needs grader"),
        ("interactive: {files: i.cpp}", "it needs interactive"),
    ],
)
def test_a_problem_that_needs_another_judge_says_so_and_has_no_tests(more, reason, tmp_path):
    made(tmp_path, f"{INIT}{more}\n")
    problem = ojbench.problem(ROW, tmp_path)
    assert (problem.unjudged, problem.tests) == (reason, ())


def test_tests_with_different_checkers_or_without_names_are_not_judged(tmp_path):
    made(tmp_path / "a", INIT.replace("points: 50", "checker: floats") + "checker: standard\n")
    assert ojbench.problem(ROW, tmp_path / "a").unjudged == "its tests need different checkers"
    made(tmp_path / "b", "archive: tests.zip\ntest_cases:\n- {in: 1.in}\n")
    assert "does not name the input and output" in ojbench.problem(ROW, tmp_path / "b").unjudged
    made(tmp_path / "c", files=FILES | {"2.out": b"\xff\xfe"})
    assert ojbench.problem(ROW, tmp_path / "c").unjudged == "its tests are not UTF-8"


def test_what_the_official_judge_skips_is_skipped_without_its_files(tmp_path):
    skipped = {**ROW, "id": 3897}
    assert ojbench.problem(skipped, tmp_path).unjudged == "OJBench's own judge skips it"


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "lists no test_cases"),
        ("test_cases: 3", "lists no test_cases"),
        ("test_cases: [7]", "a test case is 7 instead of a mapping"),
        ("a: &a [x]\nb: *a\ntest_cases: []", "it has aliases"),
        ("!!python/object/apply:os.system [true]", "is not YAML"),
        ("x: " + "[" * 5000, "is not YAML"),
        ("#" * 2_000_000, "is larger than"),
        (INIT.replace("tests.zip", "other.zip"), "lacks the archive 'other.zip'"),
        (INIT.replace("tests.zip", "../tests.zip"), "lacks the archive"),
        (INIT.replace("1.in", "9.in"), "cannot be read"),
    ],
)
def test_a_broken_copy_is_refused_in_one_line(init, message, tmp_path):
    made(tmp_path, init)
    with pytest.raises(DataError, match=message) as error:
        ojbench.problem(ROW, tmp_path)
    assert "\n" not in str(error.value)


def test_a_copy_without_the_folders_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"init\.yml is missing; copy He-Ren/OJBench_testdata whole"):
        ojbench.problem(ROW, tmp_path)
    with pytest.raises(DataError, match="a prompt for 'rust'"):
        ojbench.problem({**ROW, "language": "rust"}, tmp_path)


def test_archives_that_inflate_beyond_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ojbench, "MAX_BYTES", 1000)
    made(tmp_path, files=FILES | {"1.in": " " * 2000})
    with pytest.raises(DataError, match=r"inflate to 2,\d+ bytes, more than 1,000"):
        ojbench.problem(ROW, tmp_path)


def test_an_archive_that_understates_its_sizes_is_not_believed(tmp_path):
    folder = made(tmp_path, files=FILES | {"1.in": " " * 50_000})
    whole = (folder / "tests.zip").read_bytes()
    assert whole.count(struct.pack("<I", 50_000)) == 2
    (folder / "tests.zip").write_bytes(whole.replace(struct.pack("<I", 50_000), struct.pack("<I", 10)))
    with pytest.raises(DataError, match="cannot be read"):
        ojbench.problem(ROW, tmp_path)


def test_encrypted_and_cut_archives_are_refused(tmp_path):
    folder = made(tmp_path)
    whole = (folder / "tests.zip").read_bytes()
    for broken in (
        whole[:-30],
        b"",
        whole.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
    ):
        (folder / "tests.zip").write_bytes(broken)
        with pytest.raises(DataError, match="cannot be read"):
            ojbench.problem(ROW, tmp_path)
