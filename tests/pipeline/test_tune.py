"""Tuning over the real planning, with validation results written as the evaluation writes them."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from tests.report.conftest import SAMPLING, write_evaluation
from vcore_verl.config.errors import InputError
from vcore_verl.pipeline import tune
from vcore_verl.pipeline.arms import arms
from vcore_verl.pipeline.validation import validation_stages
from vcore_verl.report.tuning import read_tuning

DEVICE = "hardware.device=cpu"
RATES = "tune=sft.learning_rate:1e-3,2e-3"


def searches(*words: str) -> tuple[list[tune.Search], list[str]]:
    tuning, rest = tune.split([DEVICE, *words])
    return tune.searches("tiny", tuning, rest, Console(file=io.StringIO()), "ask"), rest


def names(*words: str) -> list[str]:
    return [arm.name for arm in tune.unique(searches(*words)[0])]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tune=sft.learning_rate"], "write a key of init, sft or rl and its values, tune=sft.learning_rate:5e-4"),
        (["tune=data.num_sft:100,200"], "write a key of init, sft or rl"),
        (["tune=sft.steps:5,"], "cannot read"),
        (["tune=sft.steps:5"], "has one value, which leaves nothing to choose; write sft.steps=5 instead"),
        (["tune=sft.betas:[0.9,0.95],[0.9,0.99]"], "only numbers and words can be tuned, no lists"),
        (["tune=sft.stepz:5,6"], "did you mean sft.steps?"),
        (["tune=init.kl_budgt:0.1,0.2"], "no arm has init.kl_budgt; did you mean init.kl_budget?"),
        (["tune=rl.steps:5,6", "rls=none"], "no arm has rl.steps"),
        (["tune=sft.steps:5,6", "sft.steps=7"], "sft.steps is tuned and given a value as well"),
        (["tune=sft.steps:5,6", "tune=sft.steps:7,8"], "tune has sft.steps twice"),
        ([RATES, "tune_seeds=one"], "tune_seeds=one: 'one' is not a number"),
        ([RATES, "tune_after=sft,rl"], "tune_after=sft,rl is not known; choose sft or rl"),
        ([RATES, "tune_after=rl", "rls=none"], "tune_after=rl needs RL"),
        ([RATES, "tune_after=rl", "rls=grpo,dapo"], "with one algorithm at a time"),
        ([RATES, "tune=rl.steps:5,6", "rls=grpo,none"], "one algorithm at a time: name one of grpo, none in rls="),
        (["tune=rl.steps:5,6", "tune_after=sft"], "rl.steps has no effect before RL"),
        (["tune_seeds=3"], "tune_seeds=3 would be ignored: nothing is tuned"),
    ],
)
def test_bad_input_is_one_line(words, message):
    with pytest.raises(InputError) as raised:
        searches("inits=sft,vcore", *words)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_keys_of_sft_are_tuned_after_sft_once_for_all_algorithms():
    assert names("inits=sft,none", "rls=grpo,dapo", "seeds=4,5", RATES) == [
        "sft+learning_rate-1e-3-none seed 4",
        "sft+learning_rate-2e-3-none seed 4",
    ]


def test_keys_of_rl_are_tuned_after_rl_and_rl_alone_too():
    rates = "tune=rl.learning_rate:1e-4,2e-4"
    assert names("inits=sft,none", rates, "tune_seeds=1,2") == [
        f"{init}-grpo+learning_rate-{rate} seed {seed}"
        for seed in (1, 2)
        for init in ("sft", "none")
        for rate in ("1e-4", "2e-4")
    ]
    assert names("inits=sft", "tune_after=rl", RATES) == [
        "sft+learning_rate-1e-3-grpo seed 0",
        "sft+learning_rate-2e-3-grpo seed 0",
    ]


def test_an_arm_tunes_the_keys_that_it_has():
    found, _ = searches("inits=sft,vcore,none", RATES, "tune=init.kl_budget:0.1,0.3")
    assert {search.kind.init: (len(search.runs), search.lacks) for search in found} == {
        "sft": (2, ("init.kl_budget",)),
        "vcore": (4, ()),
    }
    kinds = [search.kind for search in found]
    assert tune.remarks(found, [*kinds, kinds[0]._replace(init="none")]) == [
        "none-grpo has none of the tuned keys and runs as it is",
        "sft-grpo has no init.kl_budget, which is tuned for the others",
    ]


def test_a_tuning_run_trains_as_the_arm_does_and_uses_no_test_set():
    (search,), rest = searches("inits=sft", RATES)
    run = search.runs[next(iter(search.runs))][0]
    tuned = tune.first_points([search])
    (arm,) = arms("tiny", rest, Console(file=io.StringIO()), tuned=tuned)
    assert run.pipeline.run_dir.sft == arm.pipeline.run_dir.sft
    assert "--validate" in run.argv
    assert [stage.name for stage in validation_stages(run.recipe, run.pipeline.run_dir)] == [
        "base",
        "data",
        "test_sets",
        "validation_set",
        "sft",
        "export_sft",
        "validate_sft",
    ]


def validated(search: tune.Search, accuracies: list[float]) -> None:
    """Give the runs of each point their accuracy on the validation set."""
    for runs, accuracy in zip(search.runs.values(), accuracies, strict=True):
        for arm in runs:
            place = arm.pipeline.run_dir.validation
            seed = arm.recipe.seed / 1000
            write_evaluation(place, accuracy + seed, sampling=replace(SAMPLING, greedy=False), datasets=["validation"])


def test_each_arm_chooses_its_own_value_and_runs_all_seeds_with_it():
    words = ["inits=sft,vcore,none", "seeds=0,1", "tune=sft.learning_rate:1e-3,2e-3,4e-3", "tune_seeds=0,7"]
    found, rest = searches(*words)
    validated(found[0], [0.3, 0.8, 0.5])
    validated(found[1], [0.3, 0.4, 0.9])
    planned = arms("tiny", rest, Console(file=io.StringIO()), tuned=tune.choose(found))
    assert [arm.name for arm in planned] == [
        f"{name}-grpo seed {seed}"
        for seed in (0, 1)
        for name in ("sft+learning_rate-2e-3", "vcore+learning_rate-4e-3", "none")
    ]
    tune.record("tiny", found)
    sft, vcore = read_tuning(planned[0].root)
    assert (sft.init, sft.rl, sft.folders) == ("sft+tuned", "grpo", ("sft+learning_rate-2e-3", "grpo"))
    assert (sft.seeds, sft.best.label, sft.remarks) == ((0, 7), "2e-3", [])
    assert vcore.remarks == ["sft.learning_rate=4e-3 is at the edge of the grid: extend it"]
    tune.record("tiny", found[:1])
    assert len(json.loads((planned[0].root / "tuning.json").read_text())) == 2  # the other arm's outcome stays
