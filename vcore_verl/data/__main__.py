"""Child process of the base and data stages: `python -m vcore_verl.data base|prepare RECIPE.yaml`."""

import argparse
from pathlib import Path

from vcore_verl.recipe import read
from vcore_verl.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vcore_verl.data", description=__doc__)
    parser.add_argument("verb", choices=["base", "prepare"])
    parser.add_argument("recipe", type=Path, help="a resolved recipe.yaml")
    args = parser.parse_args()
    recipe = read(args.recipe)
    run = Run(recipe)
    if args.verb == "prepare":
        from vcore_verl.data.prepare import prepare

        prepare(recipe, run)
        return
    from vcore_verl.data.base_model import pretrain

    run.base.mkdir(parents=True, exist_ok=True)
    # The model is the same for every seed of a recipe, so that arms share their start.
    model, tokenizer = pretrain(recipe.base, seed=0, progress=run.base / "metrics.jsonl")
    model.save_pretrained(run.base_hf)
    tokenizer.save_pretrained(run.base_hf)


if __name__ == "__main__":
    main()
