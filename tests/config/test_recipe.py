import subprocess
import sys
from pathlib import Path

import pytest

from tests import shipped
from vcore_verl.config.composition import RECIPES, names
from vcore_verl.config.recipe import Recipe, RecipeError, load, read, save, settings

COMBINATIONS = [
    *(item for name in shipped.RECIPES for init in shipped.inits(name) for item in shipped.each([name], init, "grpo")),
    *(item for rl in shipped.ALGORITHMS if rl != "grpo" for item in shipped.each(shipped.RECIPES, "sft", rl)),
    *(("qwen3_4b", "none", rl) for rl in shipped.ALGORITHMS if rl not in ("grpo", "none")),
]


def error(*overrides: str, name: str = "tiny") -> str:
    with pytest.raises(RecipeError) as raised:
        load(name, list(overrides))
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "init", "rl"), COMBINATIONS)
def test_every_recipe_composes_with_every_initialiser_and_algorithm(name, init, rl):
    recipe = load(name, [f"init={init}", f"rl={rl}"])
    assert (recipe.name, recipe.init.name, recipe.rl.name) == (name, init, rl)
    assert (recipe.has_sft, recipe.has_rl) == (init != "none", rl != "none")


def test_an_override_wins_over_the_recipe_and_the_recipe_over_the_base():
    assert load("qwen3_4b", []).hardware.device == "cuda"
    assert load("qwen3_4b", ["hardware.device=cpu"]).hardware.device == "cpu"


def test_grpo_has_the_values_of_table_10():
    rl, data = load("qwen3_4b", []).rl, load("qwen3_4b", []).data
    assert (rl.prompts_per_step, rl.samples_per_prompt, rl.mini_batch_prompts) == (128, 4, 32)
    assert (data.max_prompt_tokens, rl.max_response_tokens) == (4096, 8192)
    assert (rl.learning_rate, rl.warmup_ratio, rl.schedule) == (5e-6, 0.1, "cosine")
    assert (rl.entropy_coef, rl.kl_coef) == (0.001, 0.02)


def test_dapo_differs_from_grpo_in_the_upper_clip_alone():
    grpo, dapo = settings(load("qwen3_4b", [])), settings(load("qwen3_4b", ["rl=dapo"]))
    assert {key: dapo[key] for key in grpo if grpo[key] != dapo[key]} == {"rl.name": "dapo", "rl.clip_high": 0.28}


# Table 6: examples, steps, learning rate, warm-up, LoRA rank, alpha, dropout
QWEN3 = (3200, 100, 2e-5, 0.1, 8, 16, 0.1)
LLAMA = (32000, 1000, 2e-4, 0.05, 64, 128, 0.05)


@pytest.mark.parametrize(
    ("name", "table_6", "epsilon", "tau_epsilon"),
    [
        ("qwen3_1_7b", QWEN3, 1e-4, 0.5),
        ("qwen3_4b", QWEN3, 1e-4, 0.5),
        ("qwen3_8b", QWEN3, 1e-5, 0.5),
        ("qwen3_32b", QWEN3, 1e-4, 0.8),
        ("qwen3_4b_code", QWEN3, 1e-4, 0.8),
        ("qwen3_8b_code", QWEN3, 1e-5, 0.5),
        ("qwen3_32b_code", QWEN3, 1e-4, 0.8),
        ("llama31_8b_code", LLAMA, 1e-5, 0.8),
        ("llama31_8b", LLAMA, 1e-5, 0.8),
        ("mistral_7b", LLAMA, 1e-5, 0.8),
    ],
)
def test_sft_has_the_values_of_tables_6_and_7(name, table_6, epsilon, tau_epsilon):
    recipe = load(name, ["init=vcore_paper"])
    sft, lora = recipe.sft, recipe.model.lora
    found = (recipe.data.num_sft, sft.steps, sft.learning_rate, sft.warmup_ratio, lora.rank, lora.alpha, lora.dropout)
    assert found == table_6
    assert (sft.batch_size, sft.schedule, recipe.data.cutoff_tokens) == (32, "cosine", 16384)
    assert recipe.init.probe.epsilon == epsilon
    assert recipe.init.temperature == pytest.approx(tau_epsilon / epsilon)


@pytest.mark.parametrize(
    ("name", "overrides", "epsilon", "temperature"),
    [
        ("tiny", [], 1e-4, 5e3),
        ("qwen3_8b-smoke", [], 1e-5, 5e4),
        ("qwen3_4b", ["model.path=Qwen/Qwen3-8B"], 1e-5, 5e4),
        ("qwen3_8b", ["init.probe.epsilon=1e-3"], 1e-3, 5e4),
        ("qwen3_8b", ["model.path=somebody/something"], 1e-4, 5e3),
        ("qwen3_4b", ["data.sft=nvidia/OpenCodeReasoning-2:cpp"], 1e-4, 8e3),
        ("qwen3_4b_code", ["model.path=Qwen/Qwen3-8B"], 1e-5, 5e4),
    ],
)
def test_table_7_is_read_by_the_model(name, overrides, epsilon, temperature):
    init = load(name, ["init=vcore_paper", *overrides]).init
    assert (init.probe.epsilon, init.temperature) == (epsilon, temperature)


@pytest.mark.parametrize(("name", "sibling"), shipped.SIBLINGS.items())
def test_a_recipe_on_programs_differs_from_its_sibling_in_its_data_alone(name, sibling):
    found, other = settings(load(name, [])), settings(load(sibling, []))
    different = {key for key in found.keys() | other.keys() if found.get(key) != other.get(key)}
    assert different == {"name", "data.sft", "data.rl", "data.num_rl", "evaluation.datasets"}


def test_the_objectives_have_the_settings_of_their_files():
    own = {init: settings(load("qwen3_4b", [f"init={init}"])) for init in shipped.inits("qwen3_4b") if init != "none"}
    found = {init: {key: value for key, value in all.items() if key.startswith("init.")} for init, all in own.items()}
    probe = {
        "gradient": "fresh",
        "batch_size": 32,
        "cutoff_tokens": None,
        "update": "sgd",
        "clip_grad": None,
        "every": 1,
    }
    placebo = {"init.placebo": None}
    utility = placebo | {"init.file": None, "init.variance_control": "loss_ratio"}
    utility |= {f"init.probe.{key}": value for key, value in probe.items()}
    budget = placebo | {"init.file": None, "init.kl_budget": 0.1}
    probing = {f"init.probe.{key}": value for key, value in (probe | {"derivative": "jvp", "epsilon": "auto"}).items()}
    assert found == {
        "chord_phi": placebo | {"init.name": "chord_phi", "init.file": None},
        "dft": placebo | {"init.name": "dft", "init.file": None},
        "eaft": placebo | {"init.name": "eaft", "init.file": None, "init.exponent": 1.0},
        "gift_weight": placebo | {"init.name": "gift_weight", "init.file": None, "init.beta": 20.0},
        "iw_sft": placebo | {"init.name": "iw_sft", "init.file": None, "init.level": "sequence"},
        "luffy": placebo | {"init.name": "luffy", "init.file": None, "init.gamma": 0.1},
        "p_power": placebo | {"init.name": "p_power", "init.file": None, "init.exponent": 0.5},
        "psft": placebo | {"init.name": "psft", "init.file": None, "init.clip_high": 0.28, "init.refresh": 8},
        "random": placebo | {"init.name": "random", "init.file": None, "init.keep": 0.2},
        "sft": {"init.name": "sft", "init.file": None},
        "talr": placebo | {"init.name": "talr", "init.file": None, "init.median": "sequence", "init.floor": 0.01},
        "threshold": placebo | {"init.name": "threshold", "init.file": None, "init.low": 0.1},
        "ton": {"init.name": "ton", "init.file": None, "init.dropout": 0.5},
        "vcore": utility
        | {"init.name": "vcore", "init.kl_budget": 0.1, "init.temperature": None}
        | {"init.probe.derivative": "jvp", "init.probe.epsilon": "auto"},
        "vcore_half_cosine": budget | probing | {"init.name": "vcore_half_cosine"},
        "vcore_loss": budget | {"init.name": "vcore_loss"},
        "vcore_negated": budget | probing | {"init.name": "vcore_negated"},
        "vcore_normalised": budget | probing | {"init.name": "vcore_normalised"},
        "vcore_paper": utility
        | {"init.name": "vcore_paper", "init.kl_budget": None, "init.temperature": 5e3}
        | {"init.probe.derivative": "forward", "init.probe.epsilon": 1e-4},
    }


@pytest.mark.parametrize("name", shipped.RECIPES)
def test_a_recipe_begins_with_its_command(name):
    assert (RECIPES / f"{name}.yaml").read_text().startswith(f"# bash scripts/sft_then_grpo.sh {name} ")


def test_anything_of_verls_own_configuration_can_be_set():
    recipe = load(
        "qwen3_8b", ["rl.verl.actor.optim.betas=[0.9,0.95]", "rl.verl.actor.x=1", "sft.verl={engine: {y: 2}}"]
    )
    assert recipe.rl.verl == {"actor": {"optim": {"betas": [0.9, 0.95]}, "x": 1}}
    assert recipe.sft.verl == {"engine": {"y": 2}}


def test_what_needs_the_probabilities_of_the_traces_takes_the_laboratory():
    assert error("init=pear").startswith("init=pear needs the probabilities with which the SFT traces were written, ")
    assert load("lab", ["init=pear", "init.level=sequence"]).init.level == "sequence"
    assert error("init=pear", "init.level=sequence", "init.block=2", name="lab").startswith(
        "init.block would be ignored: init.level=sequence "
    )


def test_what_needs_kinds_of_tokens_takes_data_that_have_them():
    message = error("init=oracle", name="qwen3_4b")
    assert message.startswith(
        "init=oracle needs the kinds of tokens, which only built-in tasks have: set data.sft and "
    )
    assert load("qwen3_4b", ["init=oracle", "data.sft=builtin:arithmetic", "data.rl=builtin:arithmetic"]).has_sft


@pytest.mark.parametrize(
    "override", ["data.sft=builtin:arithmetic", "data.rl=builtin:laboratory_new", "evaluation.datasets=[kept,gsm8k]"]
)
def test_a_model_of_words_gets_no_text_of_other_words(override):
    assert error(override, name="lab") == (
        "model.path=builtin:laboratory knows the words of its task alone: set data.sft and data.rl to it, "
        "and evaluation.datasets to some of in_domain, out_of_domain, kept"
    )
    load("lab", ["scale=smoke"])
    load("lab", ["evaluation.datasets=[kept]"])


def test_a_saved_recipe_reads_back_the_same(tmp_path):
    recipe = load("tiny", ["init=dft", "sft.verl.optim.eps=1e-6"])
    save(recipe, tmp_path / "recipe.yaml")
    assert read(tmp_path / "recipe.yaml") == recipe
    assert isinstance(recipe, Recipe)


def test_a_smoke_run_keeps_out_of_the_recipes_folder():
    smoke = load("qwen3_4b", ["scale=smoke", "init=dft", "sft.steps=3"])
    assert (smoke.name, smoke.model.path, smoke.hardware.device) == ("qwen3_4b-smoke", "builtin:qwen3", "cpu")
    assert (smoke.init.name, smoke.sft.steps, smoke.model.lora.rank) == ("dft", 3, 8)
    assert load("qwen3_4b-smoke", ["init=dft", "sft.steps=3"]) == smoke


def test_short_words_stand_for_the_hardware():
    hardware = load("qwen3_4b", ["gpus=4", "nodes=2"]).hardware
    assert (hardware.gpus, hardware.nodes) == (4, 2)


def test_an_unknown_recipe_lists_the_known():
    assert (
        error(name="qwen4") == f"unknown recipe 'qwen4'; known recipes: {', '.join(names())}; or a file: ./qwen4.yaml"
    )


def test_an_unknown_initialiser_lists_the_known():
    assert error("init=vcor").startswith("init=vcor is not known; choose one of chord_phi, dft, ")


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("sft.stepz=3", "did you mean sft.steps?"),
        ("sfft.steps=3", "did you mean sft?"),
        ("temperatur=3", "did you mean rl.temperature?"),
        ("foo.bar=0", "keys of a recipe: name, seed,"),
        ("kl_coef=0", "did you mean rl.kl_coef?"),
        ("learning_rate=1e-3", "did you mean base.learning_rate or sft.learning_rate or rl.learning_rate?"),
        ("sft.lr=1e-3", "keys of sft: steps, batch_size,"),
    ],
)
def test_an_unknown_key_names_the_nearest(override, hint):
    assert hint in error(override)


def test_a_wrong_type_is_named_with_its_key():
    assert error("sft.steps=many").startswith("'sft.steps=many': sft.steps is of the wrong type")
    assert error("sft.steps=2.5").startswith("'sft.steps=2.5': sft.steps is of the wrong type")
    assert error("sft=3").startswith("'sft=3': sft is of the wrong type")
    assert error("seed=true").startswith("'seed=true': seed is of the wrong type")


@pytest.mark.parametrize("override", ["steps", "=3", "+sft.steps=3", "~seed", "sft.steps=1,2", "a b", "sft.steps=[1"])
def test_what_is_not_key_equals_value_is_refused(override):
    assert "write key=value" in error(override)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["rl=none", "rl.steps=3"], "rl.steps"),
        (["init=none", "sft.steps=3"], "sft.steps"),
        (["init=none", "init.keep=0.5"], "init.keep"),
        (["model.path=Qwen/Qwen3-0.6B", "base.steps=3"], "base.steps"),
    ],
)
def test_a_setting_that_would_be_ignored_is_an_error(overrides, key):
    assert error(*overrides).startswith(f"{key} would be ignored")


@pytest.mark.parametrize("key", ["model.path", "data.sft", "data.rl"])
def test_a_missing_local_file_is_an_error(key, tmp_path):
    missing = tmp_path / "rows.parquet"
    assert error(f"{key}={missing}") == f"{key}={missing} does not exist; give a path that does, or a hub id"
    missing.touch()
    load("tiny", [f"{key}={missing}"])


@pytest.mark.parametrize(
    "override",
    [
        "sft.steps=0",
        "model.family=bert",
        "hardware.gpus=-1",
        "hardware.device=tpu",
        "init.probe.epsilon=big",
        "model.dtype=int8",
        "rl.kl_coef=-1.0",
        "rl.entropy_coef=-0.1",
        "rl.temperature=-1.0",
        "rl.temperature=0.0",
        "rl.clip_low=0.0",
        "rl.clip_high=-0.2",
        "rl.warmup_ratio=1.5",
        "rl.loss_aggregation=foo",
        "rl.prompts_per_step=0",
        "sft.warmup_ratio=-0.1",
        "sft.learning_rate=0.0",
        "sft.schedule=linear",
        "sft.betas=[0.9]",
        "sft.betas=[0.9, 1.0]",
        "evaluation.top_p=0.0",
        "evaluation.temperature=-1.0",
        "evaluation.max_prompts=0",
        "data.num_rl=32",
        "data.num_sft=31",
        "init.kl_budget=-1.0",
        "init.variance_control=ratio",
        "init.probe.every=0",
        "init.probe.cutoff_tokens=1",
        "init.probe.update=lion",
    ],
)
def test_a_value_that_makes_no_sense_is_an_error(override):
    assert error(override).startswith(override)


def test_numbers_that_do_not_fit_together_are_an_error():
    assert (
        error("init.temperature=1") == "give exactly one of init.temperature and init.kl_budget, and null for the other"
    )
    assert error("init.kl_budget=null").startswith("give exactly one of init.temperature and init.kl_budget")
    assert error("rl.overlong_buffer=129").startswith(
        "rl.overlong_buffer=129 must not exceed rl.max_response_tokens=128"
    )
    assert error("evaluation.datasets=[]") == "evaluation.datasets is empty: name at least one"
    assert error("data.num_rl=32") == "data.num_rl=32 prompts do not fill a step of rl.prompts_per_step=64"
    load("tiny", ["data.num_rl=32", "rl=none"])
    load("tiny", ["data.num_sft=8", "init=none"])


def test_a_value_that_nothing_sets_is_an_error(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: half\n")
    with pytest.raises(RecipeError, match=r"model\.path is not set"):
        read(tmp_path / "recipe.yaml")


def test_nothing_at_all_to_train_is_an_error():
    assert error("init=none", "rl=none") == "init=none and rl=none together leave nothing to train"


@pytest.mark.parametrize("variant", ["lr1e-6", "1e-6", "kl_budget-0.5+every-2", "'lr=1e-6'"])
def test_a_variant_is_any_name_of_a_file(variant):
    assert load("tiny", ["init=none", f"variant={variant}"]).variant == variant.strip("'")
    assert "letters, digits" in error("variant=a/b")


@pytest.mark.parametrize(
    "module", ["config.recipe", "runs.layout", "runtime.process", "pipeline.pipeline", "pipeline.stages", "cli"]
)
def test_the_launcher_imports_no_torch(module):
    code = f"import sys, vcore_verl.{module}; sys.exit(any(name in sys.modules for name in ('torch', 'verl', 'ray')))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["comparison.primary.dataset=aime"], "is not evaluated; choose one of in_domain, out_of_domain"),
        (["comparison.primary.stage=base"], "comparison.primary.stage=base is not known; choose one of sft, rl"),
        (["comparison.primary.decoding=greedy", "evaluation.greedy=false"], "needs evaluation.greedy=true"),
    ],
)
def test_a_primary_measure_that_nothing_evaluates_is_refused(overrides, message):
    with pytest.raises(RecipeError, match=message):
        load("tiny", overrides)


def test_the_primary_data_set_is_the_first_unless_named():
    assert load("tiny", []).primary_dataset == "in_domain"
    assert load("tiny", ["comparison.primary.dataset=out_of_domain"]).primary_dataset == "out_of_domain"


def test_a_file_that_changes_is_read_again_and_a_recipe_is_its_own(tmp_path):
    file = tmp_path / "mine.yaml"
    written = "defaults: [tiny, _self_]\nsft: {{learning_rate: {}}}\n"
    file.write_text(written.format("1.0e-3"))
    first = load(str(file), [])
    first.sft.steps = 7
    assert load(str(file), []).sft.steps == 100
    file.write_text(written.format("2.25e-3"))
    assert (first.sft.learning_rate, load(str(file), []).sft.learning_rate) == (1.0e-3, 2.25e-3)
