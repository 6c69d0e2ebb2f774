import asyncio
import inspect
from functools import partial

import pytest
from verl.utils.import_utils import load_extern_object

from reward import own
from reward.custom_reward_function import compute_score as ours


@pytest.fixture
def written(tmp_path):
    def write(body, head="def"):
        file = tmp_path / "my_reward.py"
        file.write_text(
            f"{head} compute_score(data_source, solution_str, ground_truth, extra_info=None):\n    {body}\n"
        )
        own.load.cache_clear()
        return str(file)

    return write


def test_a_number_is_completed_to_the_keys_of_this_projects_reward(written):
    file = written("return float(ground_truth in solution_str)")
    row = own.compute_score("mine", "Answer: 12", "12", file=file)
    assert set(row) == set(ours("mine", "12", "12"))
    assert (row["score"], row["acc"], row["status"], row["status_correct"]) == (1.0, 1.0, "correct", 1.0)
    assert own.compute_score("mine", "Answer: 13", "12", file=file)["status"] == "wrong"


def test_a_shaped_score_keeps_its_own_accuracy_and_keys(written):
    file = written("return {'score': 0.3, 'acc': 0, 'status': 'no_answer', 'words': 7}")
    row = own.compute_score("mine", "", "12", file=file)
    assert (row["score"], row["acc"], row["status"], row["words"]) == (0.3, 0.0, "no_answer", 7)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {'acc': 1}", "return a number, or a dictionary with score"),
        ("return None", "return a number, or a dictionary with score"),
        ("return 0.5", "returned acc=0.5: return acc 0 or 1"),
        ("return {'score': 1, 'status': 'right'}", "status='right': use one of correct, wrong"),
    ],
)
def test_a_result_that_cannot_be_evaluated_is_an_error(written, body, message):
    with pytest.raises(ValueError, match=message):
        own.compute_score("mine", "", "12", file=written(body))


@pytest.mark.parametrize("head", ["def", "async def"])
def test_verl_awaits_it_whether_or_not_the_users_function_is_async(written, repository, head):
    file = written("return ground_truth == solution_str", head)
    verls = load_extern_object(str(repository / "reward/own.py"), "compute_score_async")
    assert inspect.iscoroutinefunction(verls)
    row = asyncio.run(partial(verls, file=file)("mine", "12", "12", {}))
    assert row["acc"] == 1.0
    assert row | {"reward_seconds": 0} == own.compute_score("mine", "12", "12", file=file) | {"reward_seconds": 0}
