"""Recipes, objectives and other choices of one's own, outside the repository."""

from pathlib import Path

import pytest

from tests.config.test_objectives import POWER
from vcore_verl.config.diff import difference
from vcore_verl.config.recipe import RecipeError, compared_inits, load, read, save

RECIPE = """
defaults: [base, init: power, rl: grpo, _self_, scale: full]
model: {path: "builtin:arithmetic", dtype: float32}
hardware: {gpus: 2}
data: {sft: "builtin:arithmetic", rl: "builtin:arithmetic"}
evaluation: {datasets: [in_domain]}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a recipe with an objective of its own."""
    (tmp_path / "init").mkdir()
    (tmp_path / "init" / "power.py").write_text(POWER)
    (tmp_path / "init" / "power.yaml").write_text("name: power\nfile: power.py\nexponent: 0.25\n")
    (tmp_path / "mine.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error(name: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as raised:
        load(name, list(overrides))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_recipe_is_a_file_anywhere(place):
    recipe = load("./mine.yaml", [])
    assert (recipe.name, recipe.init.name, recipe.init.exponent) == ("mine", "power", 0.25)
    assert (recipe.file, recipe.init.file) == (str(place / "mine.yaml"), str(place / "init" / "power.py"))
    assert recipe == load(str(place / "mine.yaml"), [])
    assert recipe.data.max_prompt_tokens == 4096  # from the repository's base.yaml


def test_what_lies_beside_a_recipe_goes_before_what_the_repository_has(place):
    (place / "init" / "dft.yaml").write_text("name: dft\nnothing: 1\n")
    assert error("mine.yaml", "init=dft") == "init/dft.yaml: init.nothing is not a setting of dft, which has: placebo"
    assert load("mine.yaml", ["init=sft"]).init.name == "sft"
    assert load("tiny", ["init=dft"]).init.name == "dft"
    assert ", power, psft, " in error("mine.yaml", "init=cubic")


def test_a_choice_can_be_a_path_with_any_recipe(place):
    recipe = load("qwen3_4b", ["init=init/power.yaml", "init.exponent=0.75"])
    assert (recipe.name, recipe.init.name, recipe.init.exponent) == ("qwen3_4b", "power", 0.75)
    (place / "quick.yaml").write_text("sft: {steps: 3}\n")
    short = load("mine.yaml", ["scale=./quick.yaml"])
    assert (short.name, short.sft.steps) == ("mine-quick", 3)


def test_a_choice_that_was_given_by_its_path_is_called_by_it(place):
    (place / "short.yaml").write_text("defaults: [grpo, _self_]\nname: short\nsteps: 3\n")
    recipe = load("tiny", ["init=./init/power.yaml", "rl=./short.yaml"])
    assert (recipe.init_word, recipe.rl_word) == (str(place / "init" / "power.yaml"), str(place / "short.yaml"))
    again = load("tiny", [f"init={recipe.init_word}", f"rl={recipe.rl_word}"])
    assert again == recipe
    assert (load("mine.yaml", []).init_word, load("tiny", ["init=dft"]).rl_word) == ("power", "grpo")


def test_the_settings_are_checked_as_the_packages_are(place):
    assert error("mine.yaml", "init.exponent=-1") == "init.exponent=-1.0 must be at least 0"
    assert error("mine.yaml", "init.exponent=big").startswith("'init.exponent=big': init.exponent is of the wrong type")
    assert "init.keep is not a setting of power, which has: exponent" in error("mine.yaml", "init.keep=1")


def test_a_recipe_names_its_own_mistakes(place):
    (place / "mine.yaml").write_text(RECIPE + "sft: {stepz: 3}\n")
    assert error("mine.yaml") == "mine.yaml: unknown key 'sft.stepz'; did you mean sft.steps?"
    (place / "mine.yaml").write_text(RECIPE + "init: {level: token}\n")
    assert error("mine.yaml") == "mine.yaml: init.level is not a setting of power, which has: exponent, placebo"
    (place / "mine.yaml").write_text(RECIPE + "base: [\n")
    assert error("mine.yaml").startswith("mine.yaml: while parsing")
    (place / "mine.yaml").write_text(RECIPE.replace("init: power, ", ""))
    assert error("mine.yaml").startswith("mine.yaml: its defaults list must choose an init and an rl")
    (place / "mine.yaml").write_text(RECIPE.replace("rl: grpo", "rl: none") + "rl: {steps: 3}\n")
    assert error("mine.yaml") == "mine.yaml: rl.steps would be ignored: rl=none runs no RL; leave it out"
    assert load("mine.yaml", ["rl=grpo"]).rl.steps == 3


@pytest.mark.parametrize(("word", "overrides"), [("nowhere.yaml", []), ("mine.yaml", ["init=./nowhere.yaml"])])
def test_a_file_that_is_missing_is_one_line(place, word, overrides):
    assert error(word, *overrides).endswith("nowhere.yaml does not exist")


def test_a_saved_recipe_reads_back_the_same(place):
    recipe = load("mine.yaml", [])
    save(recipe, place / "resolved.yaml")
    assert read(place / "resolved.yaml") == recipe


def test_the_recipe_may_set_what_its_objective_has(place):
    (place / "mine.yaml").write_text(RECIPE + "init: {exponent: 0.5}\n")
    assert load("mine.yaml", []).init.exponent == 0.5


def test_rows_by_model_stand_between_the_file_and_the_recipe(place):
    rows = "by_model: {Qwen/Qwen3-4B: {exponent: 0.4}, default: {exponent: 0.1}}\n"
    (place / "init" / "power.yaml").write_text("name: power\nfile: power.py\nexponent: 0.25\n" + rows)
    assert load("mine.yaml", []).init.exponent == 0.1
    assert load("mine.yaml", ["model.path=Qwen/Qwen3-4B"]).init.exponent == 0.4
    assert load("mine.yaml", ["init.exponent=0.9"]).init.exponent == 0.9
    (place / "mine.yaml").write_text(RECIPE + "init: {exponent: 0.5}\n")
    assert load("mine.yaml", []).init.exponent == 0.5


def test_what_a_recipe_changes_is_shown_against_what_it_chooses(place):
    shown = difference(load("mine.yaml", ["init.exponent=0.75", "sft.steps=7"]))
    assert "exponent: 0.75" in shown
    assert "steps: 7" in shown
    assert "exponent" not in difference(load("mine.yaml", []))
    elsewhere = difference(load("tiny", ["init=./init/power.yaml", "sft.steps=7"]))
    assert "steps: 7" in elsewhere
    assert "exponent" not in elsewhere


def test_a_comparison_has_the_arms_whose_objectives_say_so(place):
    assert compared_inits("tiny") == ["dft", "iw_sft", "random", "sft", "vcore", "none"]
    assert compared_inits("mine.yaml") == ["dft", "iw_sft", "power", "random", "sft", "vcore", "none"]


def test_a_reward_function_is_found_beside_its_recipe_or_from_the_working_directory(place):
    reward = place / "init" / "reward.py"
    reward.write_text("async def compute_score(data_source, solution_str, ground_truth, extra_info=None): ...\n")
    (place / "graded.yaml").write_text(RECIPE + "reward_file: init/reward.py\n")
    assert load("graded.yaml", []).reward_file == str(reward)
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "graded.yaml").write_text(RECIPE.replace("init: power", "init: sft"))
    assert load("elsewhere/graded.yaml", ["reward_file=init/reward.py"]).reward_file == str(reward)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("def compute_score(:", "invalid Python: invalid syntax"),
        ("def score(): ...", "does not define compute_score, a function of data_source,"),
    ],
)
def test_a_reward_function_that_cannot_be_called_is_refused(place, text, message):
    if text:
        (place / "reward.py").write_text(text)
    assert message in error("mine.yaml", "reward_file=reward.py")
