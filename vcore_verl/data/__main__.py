"""Child process that fetches the base model or prepares published data: `python -m vcore_verl.data base|prepare
RECIPE.yaml`.
"""

import argparse
import sys
from pathlib import Path

from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import read
from vcore_verl.data.fetch import fetch
from vcore_verl.data.prepare import prepare
from vcore_verl.runs.layout import Run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vcore_verl.data", description=__doc__)
    parser.add_argument("verb", choices=["base", "prepare"])
    parser.add_argument("recipe", type=Path, help="a resolved recipe.yaml")
    args = parser.parse_args()
    recipe = read(args.recipe)
    run = Run(recipe)
    if args.verb == "base":
        run.base.mkdir(parents=True, exist_ok=True)
        fetch(recipe.model.path, run.base_hf, run.base / "metrics.jsonl")
    else:
        prepare(recipe, run)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
