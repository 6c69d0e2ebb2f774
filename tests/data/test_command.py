import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vcore_verl.config.recipe import load
from vcore_verl.data.command import data_warnings
from vcore_verl.runs.layout import Run

ASKS, SILENT = "What is 13 * 8? Put the answer within \\boxed{}.", "What is 7 squared?"


@pytest.fixture
def warned(tmp_path):
    """The warnings for RL prompts of a local file."""
    source = tmp_path / "mine.jsonl"
    source.touch()

    def warn(prompts, *overrides):
        recipe = load("tiny", [f"output_dir={tmp_path}", f"data.rl={source}", *overrides])
        run = Run(recipe)
        run.data.mkdir(parents=True, exist_ok=True)
        rows = [{"prompt": [{"role": "user", "content": prompt}]} for prompt in prompts]
        pq.write_table(pa.Table.from_pylist(rows), run.data / "rl.parquet")
        return data_warnings(recipe, run)

    return warn


def test_local_prompts_that_do_not_ask_for_the_box_are_reported(warned):
    (line,) = warned([ASKS, SILENT, SILENT], "data.sft=nvidia/OpenMathReasoning")
    assert line.startswith("data: 2 of 3 RL prompts do not ask for \\boxed{}, ")


def test_prompts_that_ask_for_the_box_or_have_their_own_reward_are_not(warned, tmp_path):
    assert warned([ASKS], "data.sft=nvidia/OpenMathReasoning") == []
    (tmp_path / "reward.py").write_text("def compute_score(*arguments): ...\n")
    assert warned([SILENT], "data.sft=nvidia/OpenMathReasoning", f"reward_file={tmp_path / 'reward.py'}") == []
