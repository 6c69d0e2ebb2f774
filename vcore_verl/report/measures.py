"""The accuracies that are compared: the primary measure, which decides, and the secondary ones."""

from collections import Counter
from dataclasses import dataclass
from itertools import product

from vcore_verl.config.schema import Comparison
from vcore_verl.evaluation.responses import GREEDY
from vcore_verl.report.collect import Collection
from vcore_verl.report.scores import SAMPLED, ReportError


@dataclass(frozen=True)
class Measure:
    """Accuracy on `dataset` after `stage` ("sft" or "rl") by `decoding` ("sampled" or "greedy")."""

    dataset: str
    stage: str
    decoding: str

    @property
    def label(self) -> str:
        """`sampled accuracy on in_domain after RL`"""
        return f"{self.decoding} accuracy on {self.dataset} after {self.stage.upper()}"


def primary_measure(collection: Collection) -> Measure:
    """The measure named by `comparison.primary` in the recipes of most runs.

    Raises `ReportError` if it was not evaluated.
    """
    named = _named(collection)
    dataset, stage, decoding = named.most_common(1)[0][0] if named else _values(Comparison())
    results = collection.base.results
    if dataset is not None and dataset not in results["datasets"]:
        evaluated = ", ".join(results["datasets"])
        raise ReportError(f"comparison.primary.dataset={dataset} was not evaluated; {evaluated} were")
    if decoding == GREEDY and not results["sampling"]["greedy"]:
        raise ReportError("comparison.primary.decoding=greedy was not evaluated: evaluation.greedy was false")
    if all(run.rl == "none" for run in collection.runs):
        stage = "sft"
    return Measure(dataset or next(iter(results["datasets"])), stage, decoding)


def measures(collection: Collection) -> list[Measure]:
    """All measures that were evaluated, the primary one first."""
    primary, results = primary_measure(collection), collection.base.results
    decodings = [SAMPLED, GREEDY] if results["sampling"]["greedy"] else [SAMPLED]
    found = [Measure(name, *rest) for name in results["datasets"] for rest in product(("rl", "sft"), decodings)]
    return sorted(found, key=lambda measure: (measure != primary, measure.dataset != primary.dataset))


def named_differently(collection: Collection) -> list[str]:
    """A line if the recipes of some runs name a different primary measure than most."""
    named = _named(collection)
    others = named.total() - max(named.values(), default=0)
    line = f"{others} of {named.total()} runs name another primary measure (comparison.primary), which is not used"
    return [line] if others else []


def _named(collection: Collection) -> Counter[tuple[str | None, str, str]]:
    return Counter(_values(run.recipe.comparison if run.recipe else Comparison()) for run in collection.runs)


def _values(section: Comparison) -> tuple[str | None, str, str]:
    primary = section.primary
    return primary.dataset, primary.stage, primary.decoding
