from random import Random

import pytest

from vcore_verl.builtin.prepare import SEEDS
from vcore_verl.builtin.tasks import TASKS
from vcore_verl.config.checks import BUILTIN_TASKS
from vcore_verl.objectives.kinds import KINDS


def test_recipes_know_every_task():
    assert TASKS.keys() == BUILTIN_TASKS.keys()


@pytest.mark.parametrize("name", TASKS)
def test_a_task_draws_every_set_and_its_kinds_are_known(name: str):
    task = TASKS[name]
    for drawn in ("sft", "rl", *BUILTIN_TASKS[name]):
        assert len(task.draw(drawn, 7, Random(SEEDS[drawn]))) == 7
    (batch,) = task.pretraining(1, 5, Random(0))
    problem, _ = batch[0]
    spans = [span for _, trace in batch for span in trace.spans]
    spans += task.solve(problem, Random(0)).spans
    assert {span.kind for span in spans} <= set(KINDS)
    assert len(batch) == 5
