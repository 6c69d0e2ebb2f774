"""The numbers of a report as types: `compare` computes them, the output formats show them.

Shape suffixes: P prompts. With several runs a prompt's value is its mean over the runs: intervals over prompts then
describe these checkpoints on new prompts. Variation across training runs is covered by the intervals over runs. A claim
about a method therefore needs at least `MIN_RUNS` training runs on each side and an interval over runs that excludes
zero after Holm's correction, on the primary measure; with fewer runs, numbers describe checkpoints, and no difference
is significant.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcore_verl.evaluation.responses import GREEDY
from vcore_verl.evaluation.statistics import SIGNIFICANCE_LEVEL, Estimate, Student, mean_interval, standard_deviation
from vcore_verl.report.measures import Measure
from vcore_verl.report.provenance import Provenance
from vcore_verl.report.scores import SAMPLED
from vcore_verl.report.transitions import Transition
from vcore_verl.report.tuning import Tuned

SCHEMA_VERSION = 4
MIN_RUNS = 3  # fewest training runs on each side of a significant difference


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one checkpoint per run, on one data set by one decoding: `mean_P` by prompt, `by_run` by run."""

    mean_P: NDArray[np.float64]
    by_run: tuple[float, ...]

    @cached_property
    def estimate(self) -> Estimate:
        """The mean with its interval over prompts."""
        return mean_interval(self.mean_P)

    def to_json(self) -> dict[str, Any]:
        return self.estimate.to_json() | {"by_run": self.by_run}


@dataclass(frozen=True)
class StageNumbers:
    """Numbers of one checkpoint per run on one data set. `accuracy`: by decoding, with `greedy` only if evaluated.

    `others`: by other graders, (grader, decoding) -> accuracy. `statuses`: share of the samples by the grader's status.
    """

    accuracy: dict[str, Accuracy]
    others: dict[tuple[str, str], Accuracy]
    pass_at_k: dict[int, Estimate]
    mean_tokens: float
    truncated: float
    statuses: dict[str, float]

    @property
    def sampled(self) -> Accuracy:
        return self.accuracy[SAMPLED]

    @property
    def greedy(self) -> Accuracy | None:
        return self.accuracy.get(GREEDY)

    def to_json(self) -> dict[str, Any]:
        return self.sampled.to_json() | {
            "greedy": self.greedy,
            "other_graders": [
                {"grader": key[0], "decoding": key[1]} | item.to_json() for key, item in self.others.items()
            ],
            "pass_at_k": self.pass_at_k,
            "mean_tokens": self.mean_tokens,
            "truncated_frac": self.truncated,
            "statuses": self.statuses,
        }


@dataclass(kw_only=True)
class Difference:
    """A difference in accuracy: `over_prompts` paired by prompt, `over_runs` between training runs.

    `over_runs` is None for one run, or if there is no spread over runs. `num_runs`: training runs of the side with
    fewer. `p_holm` (over prompts) and `over_runs_p_holm` are Holm-adjusted over the difference's family; None until
    that is complete. `primary`: whether its measure decides the comparison.
    """

    over_prompts: Estimate
    over_runs: Student | None
    num_runs: int
    primary: bool
    p_holm: float | None = None
    over_runs_p_holm: float | None = None

    @property
    def decisive(self) -> Estimate | None:
        """The interval over runs with Holm's correction."""
        if self.over_runs is None or self.over_runs_p_holm is None:
            return None
        return self.over_runs.holm_interval(self.over_runs_p_holm)

    @property
    def shown(self) -> Estimate:
        """The interval to report: over runs if there are several, else over prompts."""
        return self.decisive or self.over_prompts

    @property
    def testable(self) -> bool:
        """Whether there are enough training runs for a claim about the methods."""
        return self.num_runs >= MIN_RUNS and self.over_runs is not None

    @property
    def below_level(self) -> bool:
        """Whether the Holm-adjusted p over runs is below the significance level, with at least `MIN_RUNS` runs."""
        return self.testable and self.over_runs_p_holm is not None and self.over_runs_p_holm < SIGNIFICANCE_LEVEL

    @property
    def significant(self) -> bool:
        """Whether the difference is significant; possible only on the primary measure."""
        return self.primary and self.below_level

    def to_json(self) -> dict[str, Any]:
        over_runs = None
        if self.over_runs and self.decisive:
            holm = {"p_holm": self.over_runs_p_holm, "ci_holm": [self.decisive.low, self.decisive.high]}
            over_runs = self.over_runs.interval().to_json() | holm
        return self.over_prompts.to_json() | {
            "num_runs": self.num_runs,
            "p_holm": self.p_holm,
            "over_runs": over_runs,
            "primary": self.primary,
            "significant": self.significant,
        }


@dataclass(kw_only=True)
class Change(Difference):
    """The change from one stage to the next; a family is all arms for one data set and decoding. `by_run`: mean by run.

    `minimum_detectable` is that of the test over prompts, see `minimum_detectable_effect`.
    """

    by_run: tuple[float, ...]
    minimum_detectable: float | None

    def to_json(self) -> dict[str, Any]:
        spread = standard_deviation(self.by_run)
        return super().to_json() | {
            "by_run": self.by_run,
            "standard_deviation_over_runs": spread,
            "minimum_detectable_effect": self.minimum_detectable,
        }


@dataclass(kw_only=True)
class Pair(Difference):
    """Accuracy of `init` minus that of `reference` by one measure, under the same RL ("none" after SFT).

    Over runs, Welch's test. The pairs of a measure form a family.
    """

    measure: Measure
    rl: str
    init: str
    reference: str

    def to_json(self) -> dict[str, Any]:
        names = {"rl": self.rl, "init": self.init, "reference": self.reference}
        return vars(self.measure) | names | super().to_json()


@dataclass(frozen=True)
class ArmOnDataset:
    """One arm on one data set. Without RL `post` is None; without SFT `pre` is `base`.

    `sft_changes` are pre - base and `rl_changes` post - pre, by decoding.
    """

    base: StageNumbers
    pre: StageNumbers
    post: StageNumbers | None
    sft_changes: dict[str, Change]
    rl_changes: dict[str, Change]

    @property
    def final(self) -> StageNumbers:
        return self.post or self.pre

    def to_json(self) -> dict[str, Any]:
        stages = {"base": self.base, "pre": self.pre, "post": self.post}
        return stages | {"sft_delta": _delta(self.sft_changes), "delta": _delta(self.rl_changes)}


def _delta(changes: dict[str, Change]) -> dict[str, Any] | None:
    """The change in sampled accuracy, with that in greedy accuracy as a field; None for a stage that was not run."""
    return changes[SAMPLED].to_json() | {"greedy": changes.get(GREEDY)} if changes else None


@dataclass(frozen=True)
class Arm:
    """One SFT objective under one RL algorithm, over all seeds; `reward` and `accuracy_by_step` are from `curves`,
    `weights` from the module of that name.
    """

    init: str
    rl: str
    seeds: tuple[int, ...]
    datasets: dict[str, ArmOnDataset]
    provenance: Provenance
    reward: dict[str, float]
    accuracy_by_step: dict[str, float]
    weights: dict[str, float]

    @property
    def name(self) -> str:
        return f"{self.init}-{self.rl}"


@dataclass(frozen=True)
class Comparison:
    """All numbers of one report; `setup` and `rl_steps` are from `report.provenance`."""

    recipe: str
    primary: Measure
    conditions: dict[str, Any]
    setup: dict[str, str]
    rl_steps: dict[str, str]
    base: dict[str, StageNumbers]
    arms: list[Arm]
    pairwise: list[Pair]
    transitions: list[Transition]
    excluded: dict[str, str]
    tuning: list[Tuned]
    trained_differently: list[str]
    contamination: list[str]
    unjudged: list[str]
    device_hours: float
    commands: list[str]

    @property
    def datasets(self) -> list[str]:
        """Data sets, that of the primary measure first."""
        return sorted(self.conditions["datasets"], key=lambda name: name != self.primary.dataset)

    @property
    def one_seed(self) -> bool:
        return all(len(arm.seeds) == 1 for arm in self.arms)

    def pairs(self, measure: Measure) -> list[Pair]:
        return [pair for pair in self.pairwise if pair.measure == measure]

    def to_json(self) -> str:
        """The text of comparison.json: nested fields by name, except for types with a `to_json`."""
        excluded = [{"name": name, "reason": reason} for name, reason in self.excluded.items()]
        content = {"schema_version": SCHEMA_VERSION} | vars(self) | {"excluded": excluded}
        return json.dumps(content, indent=1, default=lambda part: getattr(part, "to_json", lambda: vars(part))()) + "\n"
