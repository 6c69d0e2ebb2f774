import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vcore_verl.evaluation.job import EvaluationError
from vcore_verl.evaluation.prompts import read_prompts, response_seed


def rows(num=3):
    return [
        {
            "data_source": "vcore/arithmetic",
            "prompt": [{"role": "user", "content": f"{i}+1=?"}],
            "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
            "extra_info": {"index": i, "prompt_id": f"p{i}"},
        }
        for i in range(num)
    ]


def written(path, content):
    pq.write_table(pa.Table.from_pylist(content), path)
    return {"test": str(path)}


def test_rows_become_prompts(tmp_path):
    prompts = read_prompts(written(tmp_path / "a.parquet", rows()))
    assert [prompt.key for prompt in prompts] == [("test", "p0"), ("test", "p1"), ("test", "p2")]
    assert prompts[0].messages == [{"role": "user", "content": "0+1=?"}]
    assert prompts[0].gold == "1"


def test_a_row_without_an_id_is_named_by_its_position(tmp_path):
    content = [{key: value for key, value in row.items() if key != "extra_info"} for row in rows()]
    assert [prompt.prompt_id for prompt in read_prompts(written(tmp_path / "a.parquet", content))] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"question": "1+1"}], "lacks the columns data_source, prompt, reward_model"),
        (rows(1), "holds 1 prompts"),
        (rows() + rows(), "same extra_info.prompt_id"),
    ],
)
def test_a_file_that_cannot_be_evaluated_is_named(tmp_path, content, message):
    with pytest.raises(EvaluationError, match=message):
        read_prompts(written(tmp_path / "a.parquet", content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"nowhere\.parquet does not exist"):
        read_prompts({"test": str(tmp_path / "nowhere.parquet")})


def test_seeds_are_fixed_for_all_time(tmp_path):
    prompt = read_prompts(written(tmp_path / "a.parquet", rows()))[0]
    assert [response_seed(42, prompt, idx) for idx in (0, 1)] == [473897754, 769664418]
