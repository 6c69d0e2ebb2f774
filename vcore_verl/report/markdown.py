"""report.md: the main tables and plots, the conditions, then the secondary analyses."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vcore_verl.report.numbers import Comparison
from vcore_verl.report.tables import (
    Table,
    budget_table,
    changes_table,
    cost_table,
    graders_table,
    main_table,
    primary_table,
    responses_table,
    secondary_table,
    stages_table,
)
from vcore_verl.report.tuning import tuning_table
from vcore_verl.report.weights import weights_table
from vcore_verl.report.wording import answer, reading_notes, titles

_CAPTIONS = {
    "accuracy": "Sampled accuracy before and after RL, 95 % intervals over prompts; small dots: single runs of several",
    "training": "Training curves; with several seeds the mean, their range shaded",
    "pass_at_k": "Unbiased pass@k of the final checkpoints, with 95 % intervals over prompts",
    "domains": "One data set against the other: original model, after SFT (hollow), after RL (filled)",
}


def markdown(comparison: Comparison, plots: Sequence[Path]) -> str:
    """The complete report; `plots` are in the same folder."""
    captions = [(_CAPTIONS[path.stem], path.name) for path in plots]
    pictures = [f"![{caption}]({name})\n\n*{caption}.*" for caption, name in captions]
    sections = {title: _table(main_table(comparison, name)) for name, title in titles(comparison).items()} | {
        "Token weights": _table(weights_table({arm.name: arm.weights for arm in comparison.arms})),
        "Over the steps of RL": _table(budget_table(comparison)),
        "Tuned settings": _table(tuning_table(comparison.tuning)),
        "Reading the tables": "\n\n".join([reading_notes(comparison), *pictures]),
        "Excluded": _items(f"`{name}`: {reason}" for name, reason in comparison.excluded.items()),
        "Trained with other settings": _items(comparison.trained_differently),
        "Task and training": _items(f"{name}: {value}" for name, value in comparison.setup.items()),
        "Evaluation": _items(_conditions(comparison)),
        "Commands": "\n".join(["```", *comparison.commands, "```"]) if comparison.commands else "",
        "Appendix: SFT objectives compared by the primary measure": _table(primary_table(comparison)),
        "Appendix: SFT objectives compared by secondary measures": _table(secondary_table(comparison)),
        "Appendix: stage by stage": _table(stages_table(comparison)),
        "Appendix: prompts gained and lost": _table(changes_table(comparison.recipe, comparison.transitions)),
        "Appendix: responses": _table(responses_table(comparison)),
        "Appendix: accuracy by other graders": _table(graders_table(comparison)),
        "Appendix: cost": _table(cost_table(comparison)),
    }
    parts = [f"## {title}\n\n{content}" for title, content in sections.items() if content]
    return "\n\n".join([f"# {comparison.recipe}: accuracy after SFT and RL", *answer(comparison), *parts]) + "\n"


def _table(table: Table) -> str:
    if not table.lines:
        return ""
    rows = [table.header, ["---", *["--:"] * (len(table.header) - 1)], *table.lines]
    return "\n".join([f"| {' | '.join(row)} |" for row in rows] + (["", table.note] if table.note else []))


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _conditions(comparison: Comparison) -> Iterator[str]:
    """Arms, evaluation settings and versions, line by line."""
    common = comparison.conditions
    sampling = common["sampling"]
    arms = ", ".join(f"{arm.name} (seeds {', '.join(map(str, arm.seeds))})" for arm in comparison.arms) or "none"
    yield f"arms: {arms}"
    yield from comparison.contamination + comparison.unjudged
    yield (
        f"decoding: {sampling['num_samples']} samples at temperature {sampling['temperature']:g},"
        f" top_p {sampling['top_p']:g},{' one greedy,' if sampling['greedy'] else ''} at most"
        f" {sampling['max_tokens']} tokens, seed {sampling['seed']}; {common['dtype']} on {common['device']}"
    )
    versions = ", ".join(f"{name} {number}" for name, number in common["versions"].items())
    yield f"grader: {common['grader_version']}; {versions}"
    if packages := sorted({package for arm in comparison.arms for package in arm.provenance.packages}):
        yield f"trained with: {', '.join(packages)}"
    if commits := sorted({commit for arm in comparison.arms for commit in arm.provenance.git_commits}):
        yield f"commits: {', '.join(commits)}"
