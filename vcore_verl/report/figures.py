"""What a report says, as numbers: `compare` computes them, the forms of the report show them.

Shape suffixes: P prompts. With several seeds a prompt's value is its mean over the seeds: intervals over prompts then
speak of these checkpoints on new prompts. What another training run would give is another question, which the intervals
over seeds answer; a difference is called one only where both exclude 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcore_verl.evaluation.statistics import Estimate, SeedSpread, mean_interval, seed_interval, seed_spread
from vcore_verl.report.collect import Excluded
from vcore_verl.report.provenance import Provenance
from vcore_verl.report.transitions import Transition

SCHEMA_VERSION = 2
SIGNIFICANT = 0.05


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

    `p_holm`, of the difference over prompts, is adjusted over all arms of the data set; None where it was not.
    """

    difference: Estimate
    greedy: Estimate | None
    minimum_detectable: float
    by_seed: tuple[float, ...]
    p_holm: float | None = None

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
    def is_clear(self) -> bool:
        """Whether it holds on other prompts and, where several seeds were trained, in other runs."""
        return self.difference.excludes_zero and self.shown.excludes_zero

    def to_json(self) -> dict[str, Any]:
        return self.difference.to_json() | {
            "greedy": self.greedy.to_json() if self.greedy else None,
            "minimum_detectable_effect": self.minimum_detectable,
            "p_holm": self.p_holm,
            "by_seed": list(self.by_seed),
            "over_seeds": self.over_seeds.to_json() if self.over_seeds else None,
            "seed_standard_deviation": self.spread.standard_deviation if self.spread else None,
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
    `greedy` is the difference of the greedy answers' accuracy, over seeds where there are several, else over prompts;
    it does not decide `told_apart`.
    """

    dataset: str
    rl: str
    init: str
    reference: str
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
    def told_apart(self) -> bool:
        """Whether it holds on other prompts and, where several seeds were trained, in other runs."""
        return self.p_holm < SIGNIFICANT and (self.over_seeds_p_holm is None or self.over_seeds_p_holm < SIGNIFICANT)

    def to_json(self) -> dict[str, Any]:
        names = {"dataset": self.dataset, "rl": self.rl, "init": self.init, "reference": self.reference}
        over_seeds = self.over_seeds.to_json() | {"p_holm": self.over_seeds_p_holm} if self.over_seeds else None
        judged = {"p_holm": self.p_holm, "over_seeds": over_seeds, "told_apart": self.told_apart}
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
            "commands": self.commands,
        }
