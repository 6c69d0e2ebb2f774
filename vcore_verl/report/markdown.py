"""report.md."""

from collections.abc import Sequence
from pathlib import Path

from vcore_verl.report.compare import Comparison
from vcore_verl.report.rows import HEADER, rows
from vcore_verl.report.wording import ONE_RUN, SIGNIFICANT, answer, p_value, points, signed_interval

Table = tuple[Sequence[str], Sequence[Sequence[str]], str]  # header, lines, note

CAPTIONS = {
    "accuracy": "Accuracy before and after RL, with 95 % intervals over prompts",
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
    for title, table in (
        ("Initialisers against each other", pairwise_table(comparison)),
        ("Spread over training seeds", seeds_table(comparison)),
        ("Prompts gained and lost by RL", changes_table(comparison)),
        ("What it took", cost_table(comparison)),
    ):
        if table is not None:
            header, lines, note = table
            parts += [f"## {title}", _table(header, lines), note]
    if comparison.excluded:
        parts += ["## Left out", _list([f"`{item.name}`: {item.reason}" for item in comparison.excluded])]
    parts += ["## Conditions", _list(conditions(comparison))]
    return "\n\n".join(parts) + "\n"


def _tables(comparison: Comparison) -> list[str]:
    found = []
    for name, num_prompts in comparison.conditions["datasets"].items():
        cells = [row.cells() for row in rows(comparison, name)]
        found += [f"## {name} ({num_prompts} prompts)", _table(HEADER, cells)]
    return found


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = [f"| {' | '.join(header)} |", "|---|" + "--:|" * (len(header) - 1)]
    return "\n".join(head + [f"| {' | '.join(line)} |" for line in lines])


def notes(comparison: Comparison) -> str:
    """How to read the main table."""
    sampling = comparison.conditions["sampling"]
    return (
        f"Accuracy is the mean over {sampling['num_samples']} samples per prompt at temperature"
        f" {sampling['temperature']:g}; intervals are 95 % t intervals over prompts. Change is against the row before"
        " of the same arm (against Original for RL only), in percentage points, with the paired 95 % interval and the"
        " two-sided p of the paired t test. Tokens and truncation are those of the samples; a truncated response counts"
        f" by what it answered before the limit. {_detectable(comparison)}"
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
    return f"With these prompts a true change of {size} points at the last stage would be found four times in five."


def pairwise_table(comparison: Comparison) -> Table | None:
    """Final accuracy of every initialiser against the reference."""
    if not comparison.pairs:
        return None
    header = (
        "data set",
        "RL",
        "final accuracy",
        "change",
        "95 % interval",
        "p",
        "p (Holm)",
        "told apart",
        "over seeds",
    )
    lines = [
        (
            pair.dataset,
            pair.rl,
            f"{pair.init} - {pair.reference}",
            points(pair.difference),
            signed_interval(pair.difference),
            p_value(pair.difference.p),
            p_value(pair.p_holm),
            "yes" if pair.p_holm < SIGNIFICANT else "no",
            signed_interval(pair.over_seeds) if pair.over_seeds else ONE_RUN,
        )
        for pair in comparison.pairs
    ]
    note = (
        "In points, paired by prompt; Holm's correction over the comparisons of one data set and RL algorithm. These"
        " speak of the checkpoints compared. The last column is Welch's 95 % interval over training seeds: what holds"
        " of the methods."
    )
    return header, lines, note


def seeds_table(comparison: Comparison) -> Table | None:
    """How much the change of a stage varies from one training run to the next."""
    header = ("arm", "data set", "stage", "seeds", "mean change", "standard deviation", "lowest", "highest")
    lines = []
    for arm in comparison.arms:
        for name, figures in arm.datasets.items():
            for stage, change in (("SFT", figures.sft), ("RL", figures.rl)):
                if change and (spread := change.spread):
                    sizes = (spread.standard_deviation, spread.lowest, spread.highest)
                    shown = [points(change.difference), *(f"{100 * size:.1f}" for size in sizes)]
                    lines.append((arm.name, name, stage, str(spread.num_seeds), *shown))
    note = "In points: how much another training run may differ. The intervals above, over prompts, do not contain it."
    return (header, lines, note) if lines else None


def changes_table(comparison: Comparison) -> Table | None:
    """Prompts solved before and after RL, two by two."""
    header = (
        "arm",
        "data set",
        "solved before and after",
        "lost",
        "gained",
        "solved neither time",
        "lost, for example",
    )
    lines = []
    for item in comparison.transitions:
        counts = map(str, (item.both, item.lost, item.gained, item.neither))
        examples = ", ".join(f"`{example.prompt_id}`" for example in item.lost_examples)
        lines.append((f"{item.arm}, seed {item.seed}", item.dataset, *counts, examples))
    note = "Solved: at least half of the samples are correct. `python -m vcore_verl view RUN --prompt ID` shows them."
    return (header, lines, note) if lines else None


def cost_table(comparison: Comparison) -> Table | None:
    """Training time of every arm, and the command of its first run."""
    header = ("arm", "SFT minutes", "RL minutes", "ranks", "device hours", "command")
    lines = []
    for arm in comparison.arms:
        cost = arm.provenance
        minutes = (f"{cost.sft_seconds / 60:.1f}", f"{cost.rl_seconds / 60:.1f}")
        ranks = f"{cost.ranks} ({cost.device})"
        lines.append((arm.name, *minutes, ranks, f"{cost.device_hours:.2f}", f"`{cost.commands[0]}`"))
    note = "Of one run, the mean over its seeds; device hours are wall-clock hours of training times ranks."
    return (header, lines, note) if any(arm.provenance.device_hours for arm in comparison.arms) else None


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
    versions = ", ".join(f"{name} {number}" for name, number in common["versions"].items())
    return [
        f"arms: {arms}",
        f"decoding: {decoding}; {common['dtype']} on {common['device']}",
        f"grader: {common['grader_version']}; {versions}",
        *([f"commits: {', '.join(commits)}"] if commits else []),
    ]


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
