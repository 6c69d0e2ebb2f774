import subprocess
import sys
from pathlib import Path

import pytest

from tests import shipped
from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.config.verl_keys import check


@pytest.mark.parametrize("name", shipped.each(shipped.RECIPES))
def test_every_recipe_sets_keys_that_verl_has(name):
    check(load(name, []))


def test_a_key_of_verls_is_accepted_at_any_depth():
    check(load("qwen3_4b", ["sft.verl.optim.lr=1e-3", "rl.verl.actor_rollout_ref.actor.optim.betas=[0.9,0.95]"]))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sft.verl.optim.lrr=1", "sft.verl.optim.lrr: verl 0.9.1 has no such key; did you mean sft.verl.optim.lr?"),
        ("sft.verl.optimm.lr=1", "sft.verl.optimm: verl 0.9.1 has no such key; did you mean sft.verl.optim?"),
        (
            "rl.verl.actor_rollout_ref.actor.clip_ration=1",
            "rl.verl.actor_rollout_ref.actor.clip_ration: verl 0.9.1 has no such key; "
            "did you mean rl.verl.actor_rollout_ref.actor.clip_ratio?",
        ),
    ],
)
def test_a_key_that_verl_does_not_have_names_the_nearest(override, message):
    with pytest.raises(RecipeError) as raised:
        check(load("qwen3_4b", [override]))
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_key_may_be_added_as_with_hydra():
    recipe = load("qwen3_4b", [])
    recipe.rl.verl = {"reward": {"+reward_kwargs": {"anything": 1}}}
    check(recipe)


def test_the_check_imports_neither_verl_nor_torch():
    code = (
        "import sys; from vcore_verl.config.recipe import load; from vcore_verl.config.verl_keys import check;"
        "check(load('tiny', ['rl.verl.trainer.nnodes=1', 'sft.verl.optim.lr=1']));"
        "sys.exit(any(name in sys.modules for name in ('torch', 'verl')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
