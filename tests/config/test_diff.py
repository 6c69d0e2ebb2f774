from omegaconf import OmegaConf

from vcore_verl.config.diff import difference
from vcore_verl.config.recipe import load


def test_a_recipe_is_shown_as_its_own_file_and_the_overrides():
    shown = difference(load("qwen3_8b", ["init=dft", "sft.steps=7", "rl.verl.trainer.x=1"]))
    assert OmegaConf.to_container(OmegaConf.create(shown)) == {
        "name": "qwen3_8b",
        "model": {"path": "Qwen/Qwen3-8B", "lora": {"rank": 8, "alpha": 16, "dropout": 0.1}},
        "hardware": {"device": "cuda"},
        "sft": {"steps": 7},
        "rl": {"verl": {"trainer": {"x": 1}}},
    }


def test_a_change_to_the_chosen_initialiser_is_shown_and_the_choice_itself_is_not():
    shown = OmegaConf.create(difference(load("qwen3_4b", ["init=vcore", "init.probe.every=2"])))
    assert OmegaConf.to_container(shown.init) == {"probe": {"every": 2}}
