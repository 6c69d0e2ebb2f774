import asyncio
import inspect
from functools import partial

import pytest
from verl.utils.import_utils import load_extern_object

KEYS = {
    "score",
    "acc",
    "status",
    "extracted",
    "status_correct",
    "status_wrong",
    "status_no_answer",
    "status_parse_error",
    "status_timeout",
    "status_runtime_error",
    "domain",
    "workers_replaced",
    "reward_seconds",
    "reward_cpu_seconds",
    "reward_waited_seconds",
    "reward_tests_run",
}


@pytest.fixture
def load(repository):
    return lambda name: load_extern_object(str(repository / "reward/custom_reward_function.py"), name)


def test_verl_loads_it_by_path_and_finds_the_same_numeric_keys_in_every_row(load):
    score = load("compute_score")
    rows = [
        score(data_source="vcore/arithmetic", solution_str=text, ground_truth="7", extra_info={"index": 0})
        for text in (r"\boxed{7}", r"\boxed{8}", "7", r"\boxed{7 7}", "\\boxed{\udcff\0}")
    ]
    assert [row["status"] for row in rows] == ["correct", "wrong", "no_answer", "parse_error", "parse_error"]
    for row in rows:
        assert set(row) == KEYS
        assert all(type(value) is float for key, value in row.items() if key not in ("status", "extracted", "domain"))
        assert row[f"status_{row['status']}"] == sum(row[key] for key in KEYS if key.startswith("status_")) == 1.0
        row["extracted"].encode()  # no lone surrogates
        assert "\0" not in row["extracted"]


def test_the_async_form_is_awaited_by_verl_and_agrees(load):
    score = partial(load("compute_score_async"), deadline_s=5.0)
    assert inspect.iscoroutinefunction(score)  # verl experimental/reward_loop/reward_manager/naive.py:31

    async def several():
        return await asyncio.gather(*(score("math", rf"\boxed{{{text}}}", "x+1") for text in ("1+x", "x", "x+1")))

    assert [row["acc"] for row in asyncio.run(several())] == [1.0, 0.0, 1.0]
