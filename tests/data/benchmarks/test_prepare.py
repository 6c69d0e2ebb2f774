import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vcore_verl.config.recipe import load
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import evaluated, prepare, to_problems
from vcore_verl.data.code import livecodebench
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import SAMPLES, Published, mirror_folder
from vcore_verl.evaluation.prompts import read_prompts

GSM8K = replace(BENCHMARKS["gsm8k"], size=3)
ROWS = [{"question": f"{number} + 1?", "answer": f"so\n#### {number + 1}"} for number in range(3)]


def recipe_with(mirror, *words):
    return load("qwen3_4b", [f"data.mirror={mirror}", *words])


def written(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_mirror_takes_the_place_of_the_hub(tmp_path, suffix):
    folder = tmp_path / "openai" / "gsm8k"
    folder.mkdir(parents=True)
    written(folder / f"a{suffix}", ROWS[:1])
    written(folder / f"b{suffix}", ROWS[1:])
    prepare(GSM8K, tmp_path / "out.parquet", recipe_with(tmp_path))
    prompts = read_prompts({"gsm8k": str(tmp_path / "out.parquet")})
    assert [prompt.gold for prompt in prompts] == ["1", "2", "3"]
    assert [prompt.prompt_id for prompt in prompts] == ["gsm8k-0", "gsm8k-1", "gsm8k-2"]
    assert prompts[0].data_source == "openai/gsm8k"
    assert prompts[0].messages[0]["content"].endswith("within \\boxed{} at last.")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_samples(tmp_path, name):
    prepare(BENCHMARKS[name], tmp_path / "out.parquet", recipe_with(SAMPLES, "evaluation.max_prompts=4"))
    assert len(read_prompts({name: str(tmp_path / "out.parquet")})) == 4


def test_a_data_set_without_samples_is_named_with_those_that_have_some(tmp_path):
    benchmark = replace(GSM8K, sources=(Published("owner/set", "test"),))
    with pytest.raises(DataError, match=r"has no sample of owner/set; it has .*openai/gsm8k"):
        prepare(benchmark, tmp_path / "out.parquet", recipe_with(SAMPLES))


@pytest.mark.parametrize(
    ("rows", "message"),
    [([{"question": "1?"}], "openai/gsm8k lacks the columns answer"), ([], r"^data\.mirror: .*a\.jsonl holds no rows")],
)
def test_rows_that_lack_columns_are_refused(tmp_path, rows, message):
    (tmp_path / "openai" / "gsm8k").mkdir(parents=True)
    written(tmp_path / "openai" / "gsm8k" / "a.jsonl", rows)
    with pytest.raises(DataError, match=message):
        prepare(GSM8K, tmp_path / "out.parquet", recipe_with(tmp_path))


@pytest.mark.parametrize(
    ("benchmark", "rows", "message"),
    [
        (GSM8K, ROWS[:2], "needs 3 problems, the rows hold 2"),
        (
            replace(BENCHMARKS["math500"], size=2),
            2 * [{"unique_id": "a", "problem": "1?", "answer": "1"}],
            "repeat a problem id",
        ),
        (
            BENCHMARKS["supergpqa_1k"],
            [dict.fromkeys(BENCHMARKS["supergpqa_1k"].columns, "a")],
            "needs 1000 problems, the rows hold 1",
        ),
    ],
)
def test_rows_that_are_not_the_benchmark_are_refused(benchmark, rows, message):
    with pytest.raises(DataError, match=message):
        to_problems(benchmark, rows)


@pytest.mark.parametrize(
    ("name", "keys", "begins"),
    [
        ("aime", {"aime-2024-60", "aime-2025-0"}, "A positive integer is called tidy if its digits, read"),
        ("livecodebench", {"livecodebench-abc901_a", "livecodebench-9002"}, ""),
        ("livecodebench_cpp", {"livecodebench-abc903_a", "livecodebench-9002"}, "A vintner prunes a vine at every"),
        ("ojbench_python", {"ojbench-loj-9001", "ojbench-demo2024_C"}, ""),
        ("mbppplus", {"evalplus-901"}, ""),
    ],
)
def test_training_is_compared_with_bare_statements(name, keys, begins):
    found = list(evaluated(BENCHMARKS[name], mirror_folder(SAMPLES)))
    assert keys <= {problem.key for problem in found} and len({problem.key for problem in found}) == len(found)
    assert found[0].statement.startswith(begins) and "boxed" not in found[0].statement


def test_tests_of_programs_are_not_read_for_that(tmp_path):
    copied = tmp_path / livecodebench.HUB_ID
    shutil.copytree(mirror_folder(SAMPLES) / livecodebench.HUB_ID, copied)
    for file in copied.iterdir():
        file.write_text(file.read_text().replace("test_cases", "absent"))
    assert len(list(evaluated(BENCHMARKS["livecodebench_window"], tmp_path))) == 4
    with pytest.raises(DataError, match="lacks the columns private_test_cases, public_test_cases"):
        prepare(BENCHMARKS["livecodebench_window"], tmp_path / "out.parquet", recipe_with(tmp_path))


def test_repeated_problems_count_once():
    rows = [{"problem": f"{number % 4}?", "answer": "1", "source": "a"} for number in range(8)]
    benchmark = replace(BENCHMARKS["big_math"], keep=lambda row: True, stratified_by=None, size=4)
    assert len(to_problems(benchmark, rows)) == 4
