"""No setting without effect is accepted, whichever file or word sets it."""

from functools import cache

import pytest

from tests import shipped
from tests.config.test_objectives import POWER
from vcore_verl.config.objectives import builtin
from vcore_verl.config.recipe import RecipeError, load, settings

OBJECTIVES = [name for name in shipped.INITS if name != "none"]


@cache
def own_settings(init: str) -> dict[str, object]:
    found = settings(load("lab", [f"init={init}"]))
    return {key: value for key, value in found.items() if key.startswith("init.")}


def error(*overrides: str, name: str = "tiny") -> str:
    with pytest.raises(RecipeError) as raised:
        load(name, list(overrides))
    message = str(raised.value)
    assert "\n" not in message
    return message


def written(value: object) -> str:
    return "null" if value is None else str(value)


@pytest.mark.parametrize("init", OBJECTIVES)
def test_no_objective_takes_the_settings_of_another(init: str):
    mine = own_settings(init)
    has = [key.removeprefix("init.") for key in mine if key not in ("init.name", "init.file")]
    others = {key: value for other in OBJECTIVES for key, value in own_settings(other).items() if key not in mine}
    # Of the settings of the probe, which is refused as a whole, one.
    sections = {key.split(".")[1]: (key, value) for key, value in others.items()}
    for key, value in sections.values():
        override = f"{key}={written(value)}"
        unknown = "init.probe" if key.startswith("init.probe.") else key
        expected = f"'{override}': {unknown} is not a setting of {init}, which has{': ' if has else ' none'}"
        # A similar name may be suggested after it.
        assert error(f"init={init}", override, name="lab").startswith(expected + ", ".join(has))


@pytest.mark.parametrize("init", OBJECTIVES)
def test_an_objective_takes_its_own_settings(init: str):
    """Each as it is, so that it is in range, but for those that another of them makes meaningless."""
    for key, value in own_settings(init).items():
        if key not in ("init.name", "init.file", "init.probe.epsilon"):
            load("lab", [f"init={init}", f"{key}={written(value)}"])


@pytest.mark.parametrize(
    ("overrides", "key", "reason"),
    [
        (["rl=none", "rl.steps=3"], "rl.steps", "rl=none runs no RL"),
        (["rl=none", "rl.verl.trainer.nnodes=1"], "rl.verl.trainer.nnodes", "rl=none runs no RL"),
        (["init=none", "sft.steps=3"], "sft.steps", "init=none runs no SFT"),
        (["init=none", "init.keep=0.5"], "init.keep", "init=none runs no SFT"),
        (["init=none", "model.lora.rank=4", "model.lora.alpha=8"], "model.lora.rank", "init=none runs no SFT"),
        (["model.lora.dropout=0.1"], "model.lora.dropout", "model.lora.rank=0 trains all parameters"),
        (["rl.lora.alpha=8"], "rl.lora.alpha", "rl.lora.rank=0 trains all parameters"),
        (["rl=none", "rl.lora={rank:4,alpha:8}"], "rl.lora.rank", "rl=none runs no RL"),
        (["init.probe.epsilon=0.1"], "init.probe.epsilon", "init.probe.derivative=jvp takes no step"),
        (["init.probe.epsilon=auto"], "init.probe.epsilon", "init.probe.derivative=jvp takes no step"),
        (["init.probe={epsilon:0.1}"], "init.probe.epsilon", "init.probe.derivative=jvp takes no step"),
        (
            ["init.probe.gradient=running", "init.probe.batch_size=8"],
            "init.probe.batch_size",
            "init.probe.gradient=running uses the training batches and draws none",
        ),
        (
            ["init.probe.gradient=running", "init.probe.cutoff_tokens=128"],
            "init.probe.cutoff_tokens",
            "init.probe.gradient=running uses the training batches and draws none",
        ),
        (
            ["init.probe.cutoff_tokens=256"],
            "init.probe.cutoff_tokens",
            "no sequence is longer than data.cutoff_tokens=256",
        ),
        (["data.solve_rate=[0.1,0.9]"], "data.solve_rate", "data.rl=builtin:arithmetic is made here"),
        (["data.sft_revision=abc"], "data.sft_revision", "data.sft=builtin:arithmetic is made here"),
        (["data.decontaminate=[gsm8k]"], "data.decontaminate", "data.sft=builtin:arithmetic is made here"),
        (
            ["init=iw_sft", "init.placebo=shuffled"],
            "init.placebo",
            "init.level=sequence gives all tokens of a sequence the same weight",
        ),
        (["data.mirror=copies"], "data.mirror", "training and evaluation sets are all made here"),
        (["evaluation.max_prompts=3"], "evaluation.max_prompts", "all evaluation sets are made here"),
        (
            ["model.path=Qwen/Qwen3-0.6B", "base.steps=3"],
            "base.steps",
            "model.path=Qwen/Qwen3-0.6B is published",
        ),
        (["model.path=builtin:qwen3", "base.steps=3"], "base.steps", "model.path=builtin:qwen3 is not pretrained"),
    ],
)
def test_what_another_choice_makes_meaningless_is_refused(overrides, key, reason):
    message = error(*overrides)
    assert message.startswith(f"{key} would be ignored: {reason}")
    assert message.endswith("; leave it out")


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["data.num_test=3"], "data.num_test"),
        (["model.family=llama"], "model.family"),
        (["data.mirror=builtin:samples", "data.rl_revision=abc"], "data.rl_revision"),
        (["data.sft=/", "data.sft_revision=abc"], "data.sft_revision"),
    ],
)
def test_what_published_models_and_data_leave_no_room_for_is_refused(overrides, key):
    assert error(*overrides, name="qwen3_4b").startswith(f"{key} would be ignored: ")


def test_a_placebo_is_no_setting_of_what_weighs_all_tokens_alike():
    expected = "'init.placebo=shuffled': init.placebo is not a setting of sft, which has none"
    assert error("init=sft", "init.placebo=shuffled") == expected
    assert error("init=none", "init.placebo=shuffled").startswith(
        "init.placebo would be ignored: init=none runs no SFT"
    )
    assert load("tiny", ["init=iw_sft", "init.level=token", "init.placebo=shuffled"]).init.shuffled
    assert not load("tiny", ["init=dft"]).init.shuffled


def test_a_benchmark_beside_the_built_in_sets_has_its_size_and_a_mirror():
    load("tiny", ["evaluation.datasets=[in_domain,gsm8k]", "evaluation.max_prompts=3", "data.num_test=8"])
    load("tiny", ["evaluation.datasets=[in_domain,gsm8k]", "data.mirror=builtin:samples"])
    assert error("evaluation.datasets=[gsm8k]", "data.num_test=8").startswith("data.num_test would be ignored")


def test_a_choice_may_leave_the_recipes_own_settings_without_effect():
    """The recipe is for all choices: they are what was asked for."""
    load("qwen3_4b", ["init=none"])
    load("tiny", ["rl=none"])
    load("tiny", ["model.path=Qwen/Qwen3-4B"])
    load("tiny", ["init.probe.gradient=running"])
    load("qwen3_4b", ["init=vcore_paper", "init.probe.derivative=jvp"])
    load("qwen3_4b", ["model.lora.rank=0"])


TRAINED = [item for name in shipped.RECIPES for init in shipped.trained(name) for item in shipped.each([name], init)]


@pytest.mark.parametrize(("name", "init"), TRAINED)
def test_a_smaller_scale_shortens_the_probes_that_there_are(name: str, init: str):
    probe = load(name, [f"init={init}", "scale=smoke"]).init.probing
    assert (probe is None) == (init == "none" or "utility" not in builtin()[init].needs)
    assert probe is None or probe.batch_size == 4


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (
            "name: power\nfile: power.py\nexponnt: 1\n",
            "init.exponnt is not a setting of power, which has: exponent, placebo; did you",
        ),
        (
            "name: power\nfile: power.py\nprobe: {every: 2}\n",
            "init.probe is not a setting of power, which has: exponent, placebo",
        ),
        ("name: power\nfile: power.py\nexponent: much\n", "init.exponent is of the wrong type"),
        ("name: power\nfile: power.py\nexponent: [\n", "while parsing a flow node"),
        ("name: dft\n", "name=dft must be power, like the file"),
        ("name: power\nfile: power.py\nby_model: 3\n", "by_model must hold one section of settings for each model"),
        ("name: power\nfile: power.py\nby_model: {x: {keep: 1}}\n", "init.keep is not a setting of power, which has:"),
    ],
)
def test_a_mistake_in_a_file_of_init_names_that_file(tmp_path, monkeypatch, init, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "power.py").write_text(POWER)
    (tmp_path / "power.yaml").write_text(init)
    assert error("init=./power.yaml").startswith(f"power.yaml: {message}")


def test_a_file_that_ignores_its_own_settings_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vcore.yaml").write_text("name: vcore\nkl_budget: 0.1\nprobe: {derivative: jvp, epsilon: 0.1}\n")
    expected = "vcore.yaml: init.probe.epsilon would be ignored: init.probe.derivative=jvp takes no step; leave it out"
    assert error("init=./vcore.yaml") == expected
    load("tiny", ["init=./vcore.yaml", "init.probe.derivative=central"])


@pytest.mark.parametrize("override", ["init.name=dft", "init.file=x.py", "rl.name=dapo", "file=x.yaml"])
def test_what_follows_from_a_choice_cannot_be_set_apart_from_it(override: str):
    assert "follows from" in error(override)
