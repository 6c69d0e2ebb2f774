"""The content of report.md and report.html: the sections of a report in their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vcore_verl.report.numbers import Comparison
from vcore_verl.report.tables import (
    Table,
    changes_table,
    cost_table,
    main_table,
    pairwise_table,
    responses_table,
    seeds_table,
    stages_table,
)
from vcore_verl.report.wording import reading_notes

CAPTIONS = {
    "accuracy": "Accuracy before and after RL, with 95 % intervals over prompts; small dots: single runs of several",
    "training": "Training curves; with several seeds the mean, their range shaded",
    "pass_at_k": "Unbiased pass@k of the final checkpoints, with 95 % bootstrap intervals over prompts",
}


@dataclass(frozen=True)
class Section:
    """A title and what stands below it, in this order."""

    title: str
    table: Table | None = None
    text: str = ""
    plots: Sequence[Path] = ()
    items: Sequence[str] = ()
    code: Sequence[str] = ()


def title(comparison: Comparison) -> str:
    return f"{comparison.name}: accuracy after SFT and RL"


def sections(comparison: Comparison, plots: Sequence[Path]) -> list[Section]:
    """Main tables and plots, the conditions, then the secondary analyses."""
    main = [
        Section(f"{name} ({num_prompts} prompts)", main_table(comparison, name))
        for name, num_prompts in comparison.conditions["datasets"].items()
    ]
    excluded = [f"`{item.name}`: {item.reason}" for item in comparison.excluded]
    setup = [f"{name}: {value}" for name, value in comparison.setup.items()]
    found = [
        *main,
        Section("Reading the tables", text=reading_notes(comparison), plots=plots),
        Section("Excluded", items=excluded),
        Section("Trained with other settings", items=comparison.trained_differently),
        Section("Task and training", items=setup),
        Section("Evaluation", items=conditions(comparison)),
        Section("Commands", code=comparison.commands),
        Section("Appendix: SFT objectives compared", pairwise_table(comparison)),
        Section("Appendix: stage by stage", stages_table(comparison)),
        Section("Appendix: by training run", seeds_table(comparison)),
        Section("Appendix: prompts gained and lost by RL", changes_table(comparison)),
        Section("Appendix: responses", responses_table(comparison)),
        Section("Appendix: cost", cost_table(comparison)),
    ]
    return [item for item in found if item.table or item.text or item.items or item.code]


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
