"""Child process that fetches the base model or prepares published data:
`python -m vcore_verl.data base|prepare|test_sets|validation RECIPE.yaml`.
"""

import sys
from pathlib import Path

from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import read
from vcore_verl.data import generated
from vcore_verl.data.fetch import fetch
from vcore_verl.data.prepare import prepare
from vcore_verl.data.test_sets import prepare_test_sets
from vcore_verl.data.validation import prepare_validation
from vcore_verl.runs.layout import Run


def main(what: str, path: Path) -> None:
    recipe = read(path)
    run = Run(recipe)
    if what == "base":
        run.base.mkdir(parents=True, exist_ok=True)
        fetch(recipe.model.path, run.base_hf, run.base / "metrics.jsonl")
    elif what == "prepare":
        prepare(recipe, run)
    elif what == "validation":
        prepare_validation(recipe, run)
    else:
        made = generated.evaluation_sets(recipe.data.sft, recipe.data.rl)
        count, asked = recipe.data.num_test, recipe.evaluation.datasets
        rows = {name: generated.evaluation_rows(made[name], name, count) for name in made if name in asked}
        prepare_test_sets(recipe, run, rows)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except InputError as error:
        sys.exit(str(error))
