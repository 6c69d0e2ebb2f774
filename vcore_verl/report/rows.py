"""The main table, row by row, for every form of the report."""

from collections.abc import Iterator
from dataclasses import dataclass

from vcore_verl.report.figures import Arm, Change, Comparison, StageFigures
from vcore_verl.report.wording import interval, p_value, percent, points, signed_interval

HEADER = ("model", "accuracy", "over prompts", "greedy", "change", "over prompts", "p", "tokens", "truncated")


@dataclass(frozen=True)
class Row:
    """A checkpoint and its change against the stage before; `starts_arm` where a new arm's rows begin."""

    label: str
    figures: StageFigures
    change: Change | None
    starts_arm: bool = False

    def cells(self) -> tuple[str, ...]:
        """In the order of `HEADER`; intervals and p are over prompts."""
        figures, change = self.figures, self.change
        greedy = percent(figures.greedy.mean) if figures.greedy else ""
        shown = ("", "", "")
        if change:
            shown = (points(change.difference), signed_interval(change.difference), p_value(change.difference.p))
        return (
            self.label,
            percent(figures.accuracy.mean),
            interval(figures.accuracy),
            greedy,
            *shown,
            f"{figures.mean_tokens:.0f}",
            percent(figures.truncated),
        )


def rows(comparison: Comparison, dataset: str) -> Iterator[Row]:
    """Original, then every arm after SFT and after RL."""
    if dataset in comparison.base:
        yield Row("Original", comparison.base[dataset], None)
    for arm in comparison.arms:
        yield from _arm_rows(arm, dataset, one_arm=len(comparison.arms) == 1)


def _arm_rows(arm: Arm, dataset: str, one_arm: bool) -> Iterator[Row]:
    """Of one arm the initialiser need not be repeated after RL."""
    figures = arm.datasets[dataset]
    seeds = f", {len(arm.seeds)} seeds" if len(arm.seeds) > 1 else ""
    if arm.init != "none" and figures.pre:
        yield Row(f"after SFT ({arm.init}{seeds})", figures.pre, figures.sft, starts_arm=True)
    if figures.post:
        trained = arm.rl if one_arm else f"{arm.init}, {arm.rl}"
        label = f"after RL ({trained}{seeds})" if arm.init != "none" else f"after RL only ({arm.rl}{seeds})"
        yield Row(label, figures.post, figures.rl, starts_arm=arm.init == "none")
