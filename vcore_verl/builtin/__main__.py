"""Child process that makes the built-in base model or data:
`python -m vcore_verl.builtin base|prepare|test_sets|validation RECIPE.yaml`.
"""

import sys
from pathlib import Path
from typing import Any

from vcore_verl.config.checks import BUILTIN, BUILTIN_TASKS, SMOLLM2
from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import Recipe, read
from vcore_verl.runs.layout import Run


def make_base(recipe: Recipe, run: Run) -> None:
    """Write the built-in model. It is the same for every seed, so all runs of a recipe share their starting point."""
    run.base.mkdir(parents=True, exist_ok=True)
    if recipe.model.path in BUILTIN_TASKS:
        from vcore_verl.builtin.base_model import pretrain
        from vcore_verl.builtin.tasks import TASKS

        task, progress = TASKS[recipe.model.path], run.base / "metrics.jsonl"
        made: tuple[Any, Any] = pretrain(task, recipe.base, seed=0, progress=progress)
    elif recipe.model.path == SMOLLM2:
        from vcore_verl.builtin.smollm2 import load

        made = load()
    else:
        from vcore_verl.builtin.random_model import build

        family = recipe.model.path.removeprefix(BUILTIN)
        made = build(family, recipe.base, recipe.model.dtype, seed=0)
    for part in made:
        part.save_pretrained(run.base_hf)


def main(what: str, path: Path) -> None:
    recipe = read(path)
    if what == "base":
        return make_base(recipe, Run(recipe))
    from vcore_verl.builtin.prepare import prepare, prepare_tests, prepare_validation

    makers = {"prepare": prepare, "test_sets": prepare_tests, "validation": prepare_validation}
    makers[what](recipe, Run(recipe))


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except InputError as error:
        sys.exit(str(error))
