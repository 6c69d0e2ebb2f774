"""What a report says, as numbers: `compare` computes them, the forms of the report show them.

Shape suffixes: P prompts. With several seeds a prompt's value is its mean over the seeds: intervals over prompts then
speak of these checkpoints on new prompts. What another training run would give is another question, which the intervals
over seeds answer. A statement about a method therefore needs at least `MIN_RUNS` training runs on each side; with
fewer, numbers describe checkpoints, and no difference is significant.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcore_verl.evaluation.statistics import Estimate, SeedSpread, mean_interval, seed_interval, seed_spread
from vcore_verl.report.collect import Excluded
from vcore_verl.report.provenance import Provenance
from vcore_verl.report.transitions import Transition

SCHEMA_VERSION = 3
SIGNIFICANCE_LEVEL = 0.05
MIN_RUNS = 3  # training runs on each side of a difference that may be significant


def _is_significant(num_runs: int, p_over_prompts: float | None, p_over_runs: float | None) -> bool:
    """Whether a difference is one of the methods: it holds for other training runs and on other prompts.

    Both p values are Holm-adjusted; None, where a test was not possible, is never significant.
    """
    if num_runs < MIN_RUNS or p_over_prompts is None or p_over_runs is None:
        return False
    return max(p_over_prompts, p_over_runs) < SIGNIFICANCE_LEVEL


@dataclass(frozen=True)
class StageFigures:
    """A checkpoint, or one of each seed, on one data set: `mean_P` by prompt, `by_seed` by seed.

    `statuses`: share of the samples by what the grader said of them.
    """

    mean_P: NDArray[np.float64]
    accuracy: Estimate
    greedy_P: NDArray[np.float64] | None
    pass_at_k: dict[int, Estimate]
    mean_tokens: float
    truncated: float
    statuses: dict[str, float]
    by_seed: tuple[float, ...]
    greedy_by_seed: tuple[float, ...]

    @property
    def greedy(self) -> Estimate | None:
        return None if self.greedy_P is None else mean_interval(self.greedy_P)

    @property
    def spread(self) -> SeedSpread | None:
        return seed_spread(self.by_seed)

    def to_json(self) -> dict[str, Any]:
        return self.accuracy.to_json() | {
            "by_seed": list(self.by_seed),
            "greedy": self.greedy.to_json() if self.greedy else None,
            "pass_at_k": {str(k): figure.to_json() for k, figure in self.pass_at_k.items()},
            "mean_tokens": self.mean_tokens,
            "truncated_frac": self.truncated,
            "statuses": self.statuses,
        }


@dataclass(frozen=True)
class Change:
    """From one stage to the next, paired by prompt; `greedy`: of greedy answers; `by_seed`: mean of each seed.

    The p values `p_holm` (over prompts) and `over_seeds_p_holm` (None for one seed) are adjusted over all arms of the
    data set.
    """

    difference: Estimate
    greedy: Estimate | None
    minimum_detectable: float
    by_seed: tuple[float, ...]
    p_holm: float | None = None
    over_seeds_p_holm: float | None = None

    @property
    def spread(self) -> SeedSpread | None:
        return seed_spread(self.by_seed)

    @property
    def over_seeds(self) -> Estimate | None:
        """With an interval over training seeds, where there are several."""
        return seed_interval(self.by_seed)

    @property
    def shown(self) -> Estimate:
        """With the interval that says most: over seeds where there are several, else over prompts."""
        return self.over_seeds or self.difference

    @property
    def significant(self) -> bool:
        """Whether this is what the stage does, and not only what it did to these checkpoints; see `MIN_RUNS`."""
        return _is_significant(len(self.by_seed), self.p_holm, self.over_seeds_p_holm)

    def to_json(self) -> dict[str, Any]:
        over_seeds = self.over_seeds.to_json() | {"p_holm": self.over_seeds_p_holm} if self.over_seeds else None
        return self.difference.to_json() | {
            "greedy": self.greedy.to_json() if self.greedy else None,
            "minimum_detectable_effect": self.minimum_detectable,
            "p_holm": self.p_holm,
            "by_seed": list(self.by_seed),
            "over_seeds": over_seeds,
            "seed_standard_deviation": self.spread.standard_deviation if self.spread else None,
            "significant": self.significant,
        }


@dataclass(frozen=True)
class ArmOnDataset:
    """One arm on one data set. `sft` is pre - base, `rl` is post - pre; what a stage did not happen for is None."""

    base: StageFigures | None
    pre: StageFigures | None
    post: StageFigures | None
    sft: Change | None
    rl: Change | None

    @property
    def final(self) -> StageFigures | None:
        return self.post or self.pre

    def to_json(self) -> dict[str, Any]:
        parts = {"base": self.base, "pre": self.pre, "post": self.post, "sft_delta": self.sft, "delta": self.rl}
        return {name: part.to_json() if part else None for name, part in parts.items()}


@dataclass(frozen=True)
class Arm:
    """One initialiser under one RL algorithm, over all its seeds."""

    init: str
    rl: str
    seeds: tuple[int, ...]
    datasets: dict[str, ArmOnDataset]
    provenance: Provenance

    @property
    def name(self) -> str:
        return f"{self.init}-{self.rl}"


@dataclass(frozen=True)
class Pair:
    """Final accuracy of `init` minus that of `reference` under the same RL, paired by prompt.

    `over_seeds` is the same difference with an interval over training seeds (Welch), where both have several. The
    p values `p_holm` (over prompts) and `over_seeds_p_holm` are adjusted over all pairs of the data set and algorithm.
    `num_runs`: training runs of the side that has fewer. `greedy` is the difference of the greedy answers' accuracy,
    over seeds where there are several, else over prompts; it does not decide `significant`.
    """

    dataset: str
    rl: str
    init: str
    reference: str
    num_runs: int
    difference: Estimate
    p_holm: float
    over_seeds: Estimate | None
    over_seeds_p_holm: float | None
    greedy: Estimate | None

    @property
    def shown(self) -> Estimate:
        """With the interval that says most: over seeds where there are several, else over prompts."""
        return self.over_seeds or self.difference

    @property
    def testable(self) -> bool:
        """Whether there are enough training runs for a statement about the methods."""
        return self.num_runs >= MIN_RUNS

    @property
    def significant(self) -> bool:
        """Whether the methods differ significantly, and not only these checkpoints; see `MIN_RUNS`."""
        return _is_significant(self.num_runs, self.p_holm, self.over_seeds_p_holm)

    def to_json(self) -> dict[str, Any]:
        names = {"dataset": self.dataset, "rl": self.rl, "init": self.init, "reference": self.reference}
        over_seeds = self.over_seeds.to_json() | {"p_holm": self.over_seeds_p_holm} if self.over_seeds else None
        judged = {
            "num_runs": self.num_runs,
            "p_holm": self.p_holm,
            "over_seeds": over_seeds,
            "significant": self.significant,
        }
        greedy = {"greedy": self.greedy.to_json() if self.greedy else None}
        return names | self.difference.to_json() | judged | greedy


@dataclass(frozen=True)
class Comparison:
    """All numbers of one report."""

    name: str
    base: dict[str, StageFigures]
    arms: list[Arm]
    pairs: list[Pair]
    excluded: list[Excluded]
    trained_differently: list[str]
    contamination: list[str]
    device_hours: float
    transitions: list[Transition]
    conditions: dict[str, Any]
    commands: list[str]

    @property
    def datasets(self) -> list[str]:
        return list(self.conditions["datasets"])

    @property
    def one_seed(self) -> bool:
        return all(len(arm.seeds) == 1 for arm in self.arms)

    def pair(self, arm: Arm, dataset: str) -> Pair | None:
        """The arm against the reference; None for the reference itself, and where there is none."""
        found = (pair for pair in self.pairs if (pair.dataset, pair.rl, pair.init) == (dataset, arm.rl, arm.init))
        return next(found, None)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "recipe": self.name,
            "conditions": self.conditions,
            "base": {name: figures.to_json() for name, figures in self.base.items()},
            "arms": [
                {
                    "init": arm.init,
                    "rl": arm.rl,
                    "seeds": list(arm.seeds),
                    "datasets": {name: figures.to_json() for name, figures in arm.datasets.items()},
                    "provenance": arm.provenance.to_json(),
                }
                for arm in self.arms
            ],
            "pairwise": [pair.to_json() for pair in self.pairs],
            "transitions": [item.to_json() for item in self.transitions],
            "excluded": [vars(item) for item in self.excluded],
            "trained_differently": self.trained_differently,
            "contamination": self.contamination,
            "device_hours": self.device_hours,
            "commands": self.commands,
        }
