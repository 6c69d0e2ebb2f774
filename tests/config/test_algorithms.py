"""Algorithms as their files declare them, those of the package and one of a user: one file and one YAML."""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_type_hints

import pytest
import torch

from tests import shipped
from vcore_verl.config import algorithms as declared
from vcore_verl.config.errors import RecipeError
from vcore_verl.config.recipe import load, read, save
from vcore_verl.pipeline.code import code_of
from vcore_verl.pipeline.stage import dependencies
from vcore_verl.pipeline.stages import stages
from vcore_verl.rl import algorithms
from vcore_verl.rl.algorithms import registry
from vcore_verl.rl.command import rl_command
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import Run

REGISTERED = algorithms.names()  # before a test registers its own

SIGN = '''
from typing import Annotated

import torch

from vcore_verl.rl.algorithms import Algorithm, Setting, register


@register("sign", verl={"actor_rollout_ref": {"actor": {"policy_loss": {"loss_mode": "gpg"}}}}, ignores=("clip_low",))
class Sign(Algorithm):
    """A = step where a response is better than its prompt's mean, else -step."""

    step: Annotated[float, Setting("size of an advantage", above=0)] = 0.5

    def advantages(self, reward_B, prompt_B):
        mean_B = torch.stack([reward_B[[p == q for q in prompt_B]].mean() for p in prompt_B])
        return self.step * torch.sign(reward_B - mean_B)
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with an algorithm of a user's own."""
    (tmp_path / "sign.py").write_text(SIGN)
    (tmp_path / "sign.yaml").write_text("defaults: [grpo, _self_]\nname: sign\nfile: sign.py\nstep: 2.0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error(*overrides: str) -> str:
    with pytest.raises(RecipeError) as raised:
        recipe = load("tiny", list(overrides))
        rl_command(recipe, Run(recipe))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_every_algorithm_is_declared_and_has_its_recipe():
    assert sorted(declared.builtin()) == REGISTERED
    assert {*declared.builtin(), "dapo", "none"} == {*shipped.ALGORITHMS}


@pytest.mark.parametrize("name", REGISTERED)
def test_a_declaration_says_what_the_class_has(name: str):
    """Read without running the file, it equals what running it shows."""
    registered, found = registry._algorithms[name], declared.builtin()[name]
    hints = get_type_hints(registered, include_extras=True)
    settings = [
        (item.name, hints[item.name].__origin__, item.default, *hints[item.name].__metadata__)
        for item in fields(registered)
        if item.default is not MISSING
    ]
    assert [(item.name, item.kind, item.default, item.setting) for item in found.parameters] == settings
    assert sorted(found.hooks) == sorted(algorithms.hooks(registered))
    assert all(item.setting.effect for item in found.parameters)


@pytest.mark.parametrize("name", [name for name in shipped.ALGORITHMS if name != "none"])
def test_a_recipe_file_holds_the_common_keys_and_the_algorithms_own(name: str):
    rl = load("qwen3_4b", [f"rl={name}"]).rl
    assert rl.method.name == ("grpo" if name == "dapo" else name)
    assert {item.name for item in fields(rl)} - {item.name for item in fields(type(rl).__mro__[1])} == set(rl.settings)


def test_an_algorithm_of_ones_own_is_one_file_and_one_yaml(place):
    recipe = load("tiny", ["rl=./sign.yaml", "rl.step=0.25"])
    assert (recipe.rl.name, recipe.rl.settings, recipe.rl.kl_coef) == ("sign", {"step": 0.25}, 0.001)
    command = rl_command(recipe, Run(recipe))
    assert "algorithm.adv_estimator='vcore_sign'" in command.argv
    assert "actor_rollout_ref.actor.policy_loss.loss_mode='gpg'" in command.argv
    assert f'"file": "{place / "sign.py"}"' in command.env["VCORE_ALGORITHM"]
    built = algorithms.build("sign", recipe.rl.settings, Path(recipe.rl.file))
    assert built.advantages(torch.tensor([1.0, 0.0, 1.0]), "aab").tolist() == [0.25, -0.25, 0.0]
    save(recipe, place / "resolved.yaml")
    assert read(place / "resolved.yaml") == recipe == load("tiny", ["rl=./sign.yaml", "rl.step=0.25"])


def test_rl_follows_from_the_file_of_an_algorithm_of_ones_own(place):
    recipe = load("tiny", ["rl=./sign.yaml"])
    found = {stage.name: stage for stage in stages(recipe, Run(recipe))}
    assert [name for name, stage in found.items() if place / "sign.py" in stage.inputs] == ["rl"]
    before = dependencies(found["rl"], recipe, Run(recipe), Digests(place / "before.json"))
    (place / "sign.py").write_text(SIGN.replace("sign(", "tanh("))
    after = dependencies(found["rl"], recipe, Run(recipe), Digests(place / "after.json"))
    assert [name for name in before if before[name] != after[name]] == ["../../sign.py"]


def test_code_counts_the_chosen_algorithms_file_and_no_other():
    def files(name):
        found = code_of("vcore_verl.rl.command", algorithm=name)
        room = "vcore_verl/rl/algorithms/"
        return {file.removeprefix(room) for file in found if file.startswith(room)} - {"__init__.py", "registry.py"}

    assert files("grpo") == {"grpo.py"}
    assert files("raft_pp") == {"raft.py"}
    assert "vcore_verl/rl/worker.py" in code_of("vcore_verl.rl.command", algorithm="nft")


def test_a_variant_keeps_the_algorithm_that_it_starts_from(place):
    (place / "mine.yaml").write_text("defaults: [nft, _self_]\nname: mine\nepsilon: 0.5\n")
    rl = load("tiny", ["rl=./mine.yaml"]).rl
    assert (rl.name, rl.method.name, rl.settings) == ("mine", "nft", {"epsilon": 0.5})


def test_what_an_algorithm_does_not_have_or_read_is_refused(place):
    assert error("rl=grpo", "rl.epsilon=1") == "'rl.epsilon=1': rl.epsilon is not a setting of grpo; it is one of nft"
    assert error("rl=nft", "rl.epsilon=2") == "rl.epsilon=2.0 must be above 0 and at most 1"
    ignored = "rl.clip_high would be ignored: rl=raft does not read it; leave it out"
    assert error("rl=raft", "rl.clip_high=0.3") == ignored
    assert error("rl=./sign.yaml", "rl.clip_low=0.1").startswith("rl.clip_low would be ignored: rl=sign")
    assert error("rl=./sign.yaml", "rl.step=0") == "rl.step=0.0 must be above 0"
    assert "follows from rl=" in error("rl.algorithm=raft")


@pytest.mark.parametrize("name", ["raft", "raft_pp", "reinforce_rej", "nft"])
def test_shaped_rewards_are_refused_where_they_have_to_be_binary(name):
    assert error(f"rl={name}", "rl.overlong_buffer=8") == (
        f"rl.overlong_buffer=8 shapes rewards, and rl={name} needs 0 and 1: set it to 0"
    )
    option = "rl.verl.reward.custom_reward_function.reward_kwargs={+format_weight:0.1}"
    assert f"may shape rewards, and rl={name} needs 0 and 1" in error(f"rl={name}", option)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["rl.dynamic_sampling=true"], "rl.dynamic_sampling=true replaces prompts that rl=gvm_grpo gives few"),
        (["rl.pilot=3"], "rl.lowest=2 is below rl.pilot=3, which every prompt has: set it to 3"),
        (["rl.lowest=1", "rl.pilot=1"], "rl.lowest=1 leaves nothing to compare a response with: use at least 2"),
        (["rl.lowest=4"], "rl.samples_per_prompt=4, the mean number of responses, must be between rl.lowest=4 and"),
        (["rl.highest=4"], "rl.samples_per_prompt=4, the mean number of responses, must be between rl.lowest=2 and"),
        (["rl.alpha=0.1"], "rl.alpha would be ignored: rl.rule=neyman is not regularized; leave it out"),
    ],
)
def test_an_allocation_that_cannot_be_is_refused(overrides, message):
    assert error("rl=gvm_grpo", *overrides).startswith(message)


def test_without_its_pilots_or_a_group_a_prompt_may_have_no_responses():
    for name, overrides in {"gvm_raft": ["rl.lowest=0", "rl.discard_pilot=true"], "gvm_grpo": ["rl.rule=gvm"]}.items():
        recipe = load("tiny", [f"rl={name}", *overrides])
        rl_command(recipe, Run(recipe))


def test_verls_key_for_a_part_that_the_algorithm_sets_is_refused():
    message = "rl.verl.algorithm.adv_estimator is what rl=raft sets; leave it out, or choose another rl"
    assert error("rl=raft", "rl.verl.algorithm.adv_estimator=rloo") == message
    load("tiny", ["rl=grpo", "rl.verl.algorithm.adv_estimator=rloo"])


def test_one_response_to_a_prompt_is_enough_where_none_are_compared():
    alone = ["rl.samples_per_prompt=1"]
    assert "nothing to compare a response with" in error("rl=nft", *alone)
    recipe = load("tiny", ["rl=raft", *alone])
    rl_command(recipe, Run(recipe))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sign"', '"nft"', "nft is an algorithm of the package; give yours another name"),
        ('"sign"', '"other"', "registers no algorithm 'sign'; it registers: other"),
        ("step: Annotated", "kl_coef: Annotated", "sign: rl.kl_coef is a key of all algorithms"),
        ('("clip_low",)', '("clip",)', "sign ignores clip, which is no key of rl"),
        ("above=0", "above=torch.pi", ":13: name 'torch' is not defined; a declaration holds literals"),
        ("verl=", "verls=", ":9: Declaration.__init__() got an unexpected keyword argument 'verls'"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_one_line(place, old, new, message):
    assert old in SIGN
    (place / "sign.py").write_text(SIGN.replace(old, new))
    assert message in error("rl=./sign.yaml")


def test_a_hook_that_the_launcher_would_not_see_is_refused():
    with pytest.raises(TypeError, match="Mine must define token_loss itself"):

        @algorithms.register("mine")
        class Mine(registry._algorithms["nft"]):
            """Inherits the loss."""
