"""Child process of the base and data stages: `python -m vcore_verl.data base|prepare RECIPE.yaml`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import BUILTIN, Recipe, read
from vcore_verl.data.command import is_builtin
from vcore_verl.data.fetch import fetch
from vcore_verl.runs.layout import Run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vcore_verl.data", description=__doc__)
    parser.add_argument("verb", choices=["base", "prepare"])
    parser.add_argument("recipe", type=Path, help="a resolved recipe.yaml")
    args = parser.parse_args()
    recipe = read(args.recipe)
    run = Run(recipe)
    if args.verb == "prepare":
        if is_builtin(recipe):
            from vcore_verl.data.builtin import prepare
        else:
            from vcore_verl.data.prepare import prepare
        prepare(recipe, run)
        return
    make_base(recipe, run)


def make_base(recipe: Recipe, run: Run) -> None:
    """Fetch the model that `model.path` names, or write the built-in one: the same for every seed, so that arms share
    their start.
    """
    run.base.mkdir(parents=True, exist_ok=True)
    if not recipe.model.path.startswith(BUILTIN):
        fetch(recipe.model.path, run.base_hf, run.base / "metrics.jsonl")
        return
    family = recipe.model.path.removeprefix(BUILTIN)
    if family == "arithmetic":
        from vcore_verl.data.base_model import pretrain

        made: tuple[Any, Any] = pretrain(recipe.base, seed=0, progress=run.base / "metrics.jsonl")
    else:
        from vcore_verl.data.random_model import build

        made = build(family, recipe.base, recipe.model.dtype, seed=0)
    for part in made:
        part.save_pretrained(run.base_hf)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
