"""The reward as verl's own reward managers call it, configured as RL configures them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

from vcore_verl.builtin.tokenizer import build
from vcore_verl.config.overrides import to_overrides
from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.rl import command
from vcore_verl.rl.main import configure
from vcore_verl.runs.layout import Run

TOKENIZER = build()
RIGHT, NONE, ENDLESS = r"\boxed{x+1}", "x+1", r"\boxed{5^{5^{5^{5^5}}}}"


def manager(*overrides: str):
    """verl's reward manager of a recipe; an answer that needs algebra has a second."""
    recipe = load("tiny", list(overrides))
    config = configure(to_overrides(command.verl_settings(recipe, Run(recipe))))
    OmegaConf.update(config, "reward.custom_reward_function.reward_kwargs", {"deadline_s": 1.0}, force_add=True)
    return load_reward_manager(config, TOKENIZER)


def row(response: str) -> DataProto:
    """One response without padding to a problem whose accepted answer is x+1, as verl's agent loop hands it over."""
    ids = torch.tensor([TOKENIZER(response)["input_ids"]])
    texts = {
        "data_source": np.array(["math"], dtype=object),
        "reward_model": np.array([{"ground_truth": "x+1"}], dtype=object),
        "extra_info": np.array([{}], dtype=object),
    }
    return DataProto.from_dict({"responses": ids, "attention_mask": torch.ones_like(ids)}, non_tensors=texts)


# tiny's responses may have 128 tokens; with a buffer that wide, each of n tokens takes n / 128 off.
@pytest.mark.parametrize(("overrides", "punished"), [((), False), (("rl=dapo", "rl.overlong_buffer=128"), True)])
def test_no_answer_waits_behind_a_hard_one_in_verls_reward_manager(overrides, punished):
    verls = manager(*overrides)
    assert type(verls).__name__ == ("DAPORewardManager" if punished else "NaiveRewardManager")
    # Few threads, in which verl decodes: whatever waits in one of them for algebra holds up all other responses.
    verls.loop.set_default_executor(ThreadPoolExecutor(1))
    done: list[str] = []

    async def score(response: str) -> dict:
        result = await verls.run_single(row(response))
        done.append(response)
        return result

    async def score_all() -> list[dict]:
        return await asyncio.gather(*map(score, (ENDLESS, RIGHT, NONE)))

    endless, right, none = verls.loop.run_until_complete(score_all())
    assert done[-1] == ENDLESS
    statuses = [result["reward_extra_info"]["status"] for result in (endless, right, none)]
    assert statuses == ["timeout", "correct", "no_answer"]
    assert endless["reward_extra_info"]["workers_replaced"] == 1.0
    assert float(right["reward_score"]) == pytest.approx(1 - punished * len(RIGHT) / 128)
    assert float(none["reward_score"]) == pytest.approx(-punished * len(NONE) / 128)


def test_the_users_reward_function_is_the_one_that_rl_maximizes(tmp_path):
    file = tmp_path / "my_reward.py"
    file.write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
        "    return {'score': len(solution_str) / 10, 'acc': solution_str == ground_truth}\n"
    )
    recipe = load("tiny", [f"reward_file={file}"])
    verls = load_reward_manager(configure(to_overrides(command.verl_settings(recipe, Run(recipe)))), TOKENIZER)
    result = verls.loop.run_until_complete(verls.run_single(row("x+1")))
    assert float(result["reward_score"]) == 0.3
    assert (result["reward_extra_info"]["acc"], result["reward_extra_info"]["status"]) == (1.0, "correct")


def test_the_reward_function_is_not_given_twice(tmp_path):
    given = f"rl.verl.reward.custom_reward_function.path={tmp_path / 'my_reward.py'}"
    with pytest.raises(RecipeError, match="is set by reward_file; set that"):
        recipe = load("tiny", [given])
        command.rl_command(recipe, Run(recipe))
