"""What a report says, as numbers: `compare` computes them, the forms of the report show them.

Shape suffixes: P prompts. With several seeds a prompt's value is its mean over the seeds: intervals over prompts then
speak of these checkpoints on new prompts. What another training run would give is another question, which the intervals
over seeds answer. A statement about a method therefore needs at least `MIN_RUNS` training runs on each side; with
fewer, numbers describe checkpoints, and no difference is significant.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcore_verl.evaluation.statistics import Estimate, mean_interval, standard_deviation
from vcore_verl.report.provenance import Provenance
from vcore_verl.report.transitions import Transition

SCHEMA_VERSION = 3
SIGNIFICANCE_LEVEL = 0.05
MIN_RUNS = 3  # training runs on each side of a difference that may be significant


@dataclass(frozen=True)
class StageNumbers:
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

    def to_json(self) -> dict[str, Any]:
        return self.accuracy.to_json() | {
            "by_seed": self.by_seed,
            "greedy": self.greedy,
            "pass_at_k": self.pass_at_k,
            "mean_tokens": self.mean_tokens,
            "truncated_frac": self.truncated,
            "statuses": self.statuses,
        }


@dataclass(kw_only=True)
class Difference:
    """A difference in accuracy: `over_prompts` paired by prompt, `over_seeds` between training runs (None for one run).

    `num_runs`: training runs of the side that has fewer. The p values `p_holm` (over prompts) and `over_seeds_p_holm`
    are Holm-adjusted over the family that the difference belongs to, once that is complete. `greedy`: the same of
    greedy answers, which does not decide `significant`.
    """

    over_prompts: Estimate
    over_seeds: Estimate | None
    greedy: Estimate | None
    num_runs: int
    p_holm: float | None = None
    over_seeds_p_holm: float | None = None

    @property
    def shown(self) -> Estimate:
        """With the interval that says most: over seeds where there are several, else over prompts."""
        return self.over_seeds or self.over_prompts

    @property
    def testable(self) -> bool:
        """Whether there are enough training runs for a statement about the methods."""
        return self.num_runs >= MIN_RUNS

    @property
    def significant(self) -> bool:
        """Whether the methods differ: on other prompts, and for other training runs; see `MIN_RUNS`."""
        p_values = (self.p_holm, self.over_seeds_p_holm)
        return self.testable and all(p is not None and p < SIGNIFICANCE_LEVEL for p in p_values)

    def to_json(self) -> dict[str, Any]:
        return self.over_prompts.to_json() | {
            "num_runs": self.num_runs,
            "p_holm": self.p_holm,
            "over_seeds": self.over_seeds.to_json() | {"p_holm": self.over_seeds_p_holm} if self.over_seeds else None,
            "significant": self.significant,
            "greedy": self.greedy,
        }


@dataclass(kw_only=True)
class Change(Difference):
    """From one stage to the next; one family is the arms of a data set. `by_seed`: the mean change of each seed.

    `minimum_detectable` is that of the test over prompts, see `minimum_detectable_effect`.
    """

    by_seed: tuple[float, ...]
    minimum_detectable: float

    def to_json(self) -> dict[str, Any]:
        spread = standard_deviation(self.by_seed)
        return super().to_json() | {
            "by_seed": self.by_seed,
            "seed_standard_deviation": spread,
            "minimum_detectable_effect": self.minimum_detectable,
        }


@dataclass(kw_only=True)
class Pair(Difference):
    """Final accuracy of `init` minus that of `reference` under the same RL (over seeds: Welch); one family is the pairs
    of a data set and algorithm.
    """

    dataset: str
    rl: str
    init: str
    reference: str

    def to_json(self) -> dict[str, Any]:
        names = {"dataset": self.dataset, "rl": self.rl, "init": self.init, "reference": self.reference}
        return names | super().to_json()


@dataclass(frozen=True)
class ArmOnDataset:
    """One arm on one data set; None for a stage that did not happen, where without SFT `pre` is `base`.

    `sft_delta` is pre - base, `delta` is post - pre.
    """

    base: StageNumbers
    pre: StageNumbers
    post: StageNumbers | None
    sft_delta: Change | None
    delta: Change | None

    @property
    def final(self) -> StageNumbers:
        return self.post or self.pre


@dataclass(frozen=True)
class Arm:
    """One SFT objective under one RL algorithm, over all its seeds."""

    init: str
    rl: str
    seeds: tuple[int, ...]
    datasets: dict[str, ArmOnDataset]
    provenance: Provenance

    @property
    def name(self) -> str:
        return f"{self.init}-{self.rl}"


@dataclass(frozen=True)
class Comparison:
    """All numbers of one report; `setup` and `rl_steps` as `report.provenance` has them."""

    recipe: str
    conditions: dict[str, Any]
    setup: dict[str, str]
    rl_steps: dict[str, str]
    base: dict[str, StageNumbers]
    arms: list[Arm]
    pairwise: list[Pair]
    transitions: list[Transition]
    excluded: dict[str, str]
    trained_differently: list[str]
    contamination: list[str]
    device_hours: float
    commands: list[str]

    @property
    def datasets(self) -> list[str]:
        return list(self.conditions["datasets"])

    @property
    def one_seed(self) -> bool:
        return all(len(arm.seeds) == 1 for arm in self.arms)

    def to_json(self) -> str:
        """comparison.json: the fields of all that this holds by their names, but where a `to_json` says otherwise."""
        excluded = [{"name": name, "reason": reason} for name, reason in self.excluded.items()]
        content = {"schema_version": SCHEMA_VERSION} | vars(self) | {"excluded": excluded}
        return json.dumps(content, indent=1, default=lambda part: getattr(part, "to_json", lambda: vars(part))()) + "\n"
