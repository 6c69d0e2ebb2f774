"""report.md."""

from collections.abc import Sequence
from pathlib import Path

from vcore_verl.report.figures import Comparison
from vcore_verl.report.tables import (
    Table,
    changes_table,
    cost_table,
    main_table,
    pairwise_table,
    seeds_table,
    stages_table,
    statuses_table,
)
from vcore_verl.report.wording import answer

CAPTIONS = {
    "accuracy": "Accuracy before and after RL, with 95 % intervals over prompts; small dots: single runs of several",
    "training": "Training curves; with several seeds the mean, their range shaded",
    "pass_at_k": "Unbiased pass@k of the final checkpoints, with 95 % bootstrap intervals over prompts",
    "domains": "In-domain against out-of-domain accuracy: original model, after SFT (hollow), after RL (filled)",
}


def markdown(comparison: Comparison, pictures: Sequence[Path]) -> str:
    """The whole report; `pictures` lie beside it."""
    parts = [
        f"# {comparison.name}: what SFT and RL brought",
        answer(comparison),
        *_tables(comparison),
        notes(comparison),
    ]
    parts += [f"![{CAPTIONS[path.stem]}]({path.name})\n\n*{CAPTIONS[path.stem]}.*" for path in pictures]
    for title, table in details(comparison):
        parts += [f"## {title}", _table(table), *filter(None, [table.note])]
    for title, items in (("Left out", excluded(comparison)), ("Trained differently", comparison.trained_differently)):
        if items:
            parts += [f"## {title}", _list(items)]
    parts += ["## Conditions", _list(conditions(comparison))]
    if comparison.commands:
        parts += ["## The same again", "\n".join(["```", *comparison.commands, "```"])]
    return "\n\n".join(parts) + "\n"


def details(comparison: Comparison) -> list[tuple[str, Table]]:
    """The tables after the main ones, with their titles."""
    found = [
        ("Initialisers against each other", pairwise_table(comparison)),
        ("Run by run", seeds_table(comparison)),
        ("Prompts gained and lost by RL", changes_table(comparison)),
        ("How responses were graded", statuses_table(comparison)),
        ("What it took", cost_table(comparison)),
    ]
    if len(comparison.arms) > 1:
        found += [(f"Stage by stage: {name}", stages_table(comparison, name)) for name in comparison.datasets]
    return [(title, table) for title, table in found if table is not None]


def excluded(comparison: Comparison) -> list[str]:
    """A line for each run that is left out."""
    return [f"`{item.name}`: {item.reason}" for item in comparison.excluded]


def _tables(comparison: Comparison) -> list[str]:
    found = []
    for name, num_prompts in comparison.conditions["datasets"].items():
        found += [f"## {name} ({num_prompts} prompts)", _table(main_table(comparison, name))]
    return found


def _table(table: Table) -> str:
    head = [f"| {' | '.join(table.header)} |", "|---|" + "--:|" * (len(table.header) - 1)]
    return "\n".join(head + [f"| {' | '.join(line)} |" for line in table.lines])


def notes(comparison: Comparison) -> str:
    """How to read the main table."""
    sampling = comparison.conditions["sampling"]
    accuracy = (
        f"Accuracy is the mean over {sampling['num_samples']} samples per prompt at temperature"
        f" {sampling['temperature']:g}; changes are in percentage points."
    )
    responses = (
        "Tokens and truncation are those of the samples; a truncated response counts by what it answered before the"
        " limit."
    )
    how = _notes_on_arms(comparison) if len(comparison.arms) > 1 else _notes_on_stages()
    return f"{accuracy} {how} {responses} {_detectable(comparison)}"


def _notes_on_stages() -> str:
    return (
        "Intervals are 95 % t intervals over prompts, which describe these checkpoints. Change is against the row"
        " before of the same arm (against Original for RL only), paired by prompt, with the two-sided p of the paired t"
        " test."
    )


def _notes_on_arms(comparison: Comparison) -> str:
    over_prompts = (
        "Over prompts: paired 95 % t interval and test of what RL changed, which describe these checkpoints. p has"
        " Holm's correction over the arms of the data set."
    )
    if comparison.one_seed:
        return over_prompts
    return (
        f"{over_prompts} Over runs: the same over training runs of different seeds, which describes the method."
        " Hours are those of one run, the mean over the seeds."
    )


def _detectable(comparison: Comparison) -> str:
    effects = [
        100 * change.minimum_detectable
        for arm in comparison.arms
        for figures in arm.datasets.values()
        if (change := figures.rl or figures.sft)
    ]
    if not effects:
        return ""
    low, high = f"{min(effects):.1f}", f"{max(effects):.1f}"
    size = low if low == high else f"{low} to {high}"
    return (
        f"The paired test over prompts would detect a true change of {size} points between these checkpoints with 80 %"
        " power."
    )


def conditions(comparison: Comparison) -> list[str]:
    """What all evaluations here have in common."""
    common = comparison.conditions
    sampling = common["sampling"]
    decoding = (
        f"{sampling['num_samples']} samples at temperature {sampling['temperature']:g}, top_p {sampling['top_p']:g},"
        f"{' one greedy,' if sampling['greedy'] else ''} at most {sampling['max_tokens']} tokens,"
        f" seed {sampling['seed']}"
    )
    arms = ", ".join(f"{arm.name} (seeds {', '.join(map(str, arm.seeds))})" for arm in comparison.arms) or "none"
    commits = sorted({commit for arm in comparison.arms for commit in arm.provenance.git_commits})
    packages = sorted({package for arm in comparison.arms for package in arm.provenance.packages})
    versions = ", ".join(f"{name} {number}" for name, number in common["versions"].items())
    return [
        f"arms: {arms}",
        *comparison.contamination,
        f"decoding: {decoding}; {common['dtype']} on {common['device']}",
        f"grader: {common['grader_version']}; {versions}",
        *([f"trained with: {', '.join(packages)}"] if packages else []),
        *([f"commits: {', '.join(commits)}"] if commits else []),
    ]


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
