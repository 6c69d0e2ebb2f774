import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import prepare, to_problems
from vcore_verl.data.hub import DataError
from vcore_verl.evaluation.prompts import read_prompts

GSM8K = replace(BENCHMARKS["gsm8k"], size=3)
ROWS = [{"question": f"{number} + 1?", "answer": f"so\n#### {number + 1}"} for number in range(3)]


def written(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_local_file_takes_the_place_of_the_hub(tmp_path, suffix):
    prepare(GSM8K, tmp_path / "out.parquet", [written(tmp_path / f"rows{suffix}", ROWS)])
    prompts = read_prompts({"gsm8k": str(tmp_path / "out.parquet")})
    assert [prompt.gold for prompt in prompts] == ["1", "2", "3"]
    assert prompts[0].data_source == "openai/gsm8k"
    assert prompts[0].messages[0]["content"].endswith("within \\boxed{} at last.")


def test_several_files_follow_each_other(tmp_path):
    files = [written(tmp_path / "a.jsonl", ROWS[:1]), written(tmp_path / "b.jsonl", ROWS[1:])]
    prepare(GSM8K, tmp_path / "out.parquet", files)
    assert [prompt.prompt_id for prompt in read_prompts({"x": str(tmp_path / "out.parquet")})] == [
        "gsm8k-0",
        "gsm8k-1",
        "gsm8k-2",
    ]


@pytest.mark.parametrize(
    ("benchmark", "rows", "message"),
    [
        (GSM8K, [{"question": "1?"}], "lack answer"),
        (GSM8K, [], "lack answer, question"),
        (GSM8K, ROWS[:2], "has 3 problems, the rows hold 2"),
        (
            replace(BENCHMARKS["math500"], size=2),
            2 * [{"unique_id": "a", "problem": "1?", "answer": "1"}],
            "repeat a problem's id",
        ),
        (
            BENCHMARKS["supergpqa_1k"],
            [dict.fromkeys(BENCHMARKS["supergpqa_1k"].columns, "a")],
            "1000 problems are drawn",
        ),
    ],
)
def test_rows_that_are_not_the_benchmark_are_refused(benchmark, rows, message):
    with pytest.raises(DataError, match=message):
        to_problems(benchmark, rows)


def test_repeated_problems_count_once():
    rows = [{"problem": f"{number % 4}?", "answer": "1", "source": "a"} for number in range(8)]
    benchmark = replace(BENCHMARKS["big_math"], keep=lambda row: True, sample=None, size=4)
    assert len(to_problems(benchmark, rows)) == 4


@pytest.mark.parametrize(("name", "message"), [("none.parquet", "does not exist"), ("a.xlsx", "unknown kind")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, message):
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(DataError, match=message):
        prepare(GSM8K, tmp_path / "out.parquet", [tmp_path / name])
