import pytest

from vcore_verl.config.objectives import builtin
from vcore_verl.config.recipe import RecipeError, load, save
from vcore_verl.runs.layout import Run
from vcore_verl.sft.view import view_weights

PROBING = sorted(name for name, declaration in builtin().items() if "utility" in declaration.needs)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        *(
            ([f"init={init}", f"init.probe.{setting}"], "its weights follow from past steps too")
            for init in PROBING
            for setting in ("gradient=running", "update=adam_step")
        ),
        (["init=psft"], "its weights follow from past steps too"),
        (["init=none"], "has no SFT whose weights could be shown"),
        (["init=dft"], "run the recipe first"),
    ],
)
def test_weights_that_a_checkpoint_does_not_tell_are_refused_in_one_line(tmp_path, overrides, message):
    recipe = load("tiny", [f"output_dir={tmp_path}", *overrides])
    run = Run(recipe).dir
    run.mkdir(parents=True)
    save(recipe, run / "recipe.yaml")
    with pytest.raises(RecipeError, match=message) as error:
        view_weights([run], "end", 4, 64, tmp_path / "weights.html")
    assert "\n" not in str(error.value)


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="is not a run"):
        view_weights([tmp_path], "end", 4, 64, tmp_path / "weights.html")
