"""Where each objective puts its weight on the built-in task, and what that does to accuracy after SFT.

    python tests/benchmarks/controlled_experiment.py runs/tiny [--sequences 512]

Reads the finished runs below a recipe's directory, every initialiser and variant with all its seeds. The built-in task
knows the kind of every token of a trace. First table: weight of a kind relative to a uniform weighting, mean over
sequences with a 95 % interval over them, as the run of the lowest seed weighs the first training examples at the start
and at the end of SFT. Second table: accuracy over prompts and seeds; the difference to plain SFT is paired by prompt,
its interval describes these checkpoints; the one over training runs (Welch) describes the objective. Both are of
samples at temperature 1; greedy answers stand beside them.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from bench import hardware, table
from scipy import stats

from vcore_verl.config.recipe import read
from vcore_verl.evaluation.results import RESULTS
from vcore_verl.evaluation.statistics import Estimate, holm, mean_interval, paired_difference, run_difference
from vcore_verl.report.scores import read_evaluation
from vcore_verl.runs.layout import Run, places
from vcore_verl.sft.page import relative_weights
from vcore_verl.sft.view import needs_history, start_process_group, weighted_examples

REFERENCE = "sft"
NOTE = (
    "Interval beside the difference and p: over prompts, for these checkpoints. Over runs: Welch's interval over"
    " training seeds, for the objectives, without Holm's correction."
)
KINDS = ("markup", "step", "filler", "false_start", "mistake", "answer", "end of sequence")


def runs_of(root: Path) -> dict[str, list[Path]]:
    """Initialiser or variant -> its runs in order of their seeds, `sft` first."""
    arms: dict[str, list[Path]] = defaultdict(list)
    for place in sorted(places(root), key=lambda place: (place.init != REFERENCE, place.init, place.seed)):
        if place.rl == "none" and (place.folder / "eval" / RESULTS).is_file():
            arms[place.init].append(place.folder)
    return dict(arms)


def weights(run: Path, at: str, sequences: int) -> list[str]:
    """One cell per kind; dashes for a probe whose weights follow from past gradients too."""
    trained = Run(read(run / "recipe.yaml"))
    if needs_history(trained.recipe):
        return ["-"] * len(KINDS)
    examples = weighted_examples(trained, at, sequences)
    cells = []
    for kind in KINDS:
        weights = np.array(relative_weights(examples, kind))
        half = stats.t.ppf(0.975, len(weights) - 1) * stats.sem(weights)
        cells.append(f"{weights.mean():.2f} ± {half:.2f}")
    return cells


def accuracies(arms: dict[str, list[Path]], dataset: str) -> list[list[str]]:
    """One row per arm."""
    found = {arm: [read_evaluation(run / "eval").datasets[dataset] for run in runs] for arm, runs in arms.items()}
    scores = {arm: [item.score_PS.mean(axis=1) for item in items] for arm, items in found.items()}
    reference = scores[REFERENCE]
    others = [arm for arm in arms if arm != REFERENCE]
    differences = {arm: paired_difference(np.mean(reference, axis=0), np.mean(scores[arm], axis=0)) for arm in others}
    adjusted = dict(zip(others, holm([difference.p or 0.0 for difference in differences.values()]), strict=True))
    rows = []
    for arm, seeds in scores.items():
        accuracy = mean_interval(np.mean(seeds, axis=0))
        row = [arm, str(len(seeds)), f"{100 * accuracy.mean:.1f} [{_points(accuracy)}]"]
        if arm in differences:
            over_runs = run_difference([float(s.mean()) for s in reference], [float(s.mean()) for s in seeds])
            difference = differences[arm]
            row += [
                f"{100 * difference.mean:+.1f} [{_points(difference, '+')}]",
                f"{adjusted[arm]:.3f}" if adjusted[arm] >= 0.001 else "< 0.001",
                f"[{_points(over_runs.interval(), '+')}]" if over_runs else "",
            ]
        greedy = mean_interval(np.mean([item.greedy_P for item in found[arm]], axis=0))
        rows.append([*row, *[""] * (6 - len(row)), f"{100 * greedy.mean:.1f} [{_points(greedy)}]"])
    return rows


def _points(estimate: Estimate, sign: str = "") -> str:
    return ", ".join(f"{100 * bound:{sign}.1f}" for bound in (estimate.low, estimate.high))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="runs/<recipe>")
    parser.add_argument("--sequences", type=int, default=512, help="training examples that are weighed")
    args = parser.parse_args()
    arms = runs_of(args.root)
    start_process_group()
    tables = [
        f"{hardware()}; {args.sequences} training sequences, the run of the lowest seed; weight relative to uniform"
    ]
    for at in ("start", "end"):
        rows = [[arm, *weights(runs[0], at, args.sequences)] for arm, runs in arms.items()]
        tables.append(f"At the {at} of SFT:\n\n{table(['init', *KINDS], rows)}")
    for dataset in read_evaluation(next(iter(arms.values()))[0] / "eval").datasets:
        header = ["init", "seeds", f"{dataset} (%)", f"against {REFERENCE}", "p (Holm)", "over runs", "greedy (%)"]
        tables.append(table(header, accuracies(arms, dataset)))
    print("\n" + "\n\n".join([*tables, NOTE]))


if __name__ == "__main__":
    main()
