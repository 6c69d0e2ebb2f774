"""Collects the comparable evaluations of a recipe's runs, and the reasons why other runs are excluded."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vcore_verl.config.algorithms import DEFAULT
from vcore_verl.config.recipe import Recipe, RecipeError, read
from vcore_verl.report.scores import Evaluation, ReportError, read_evaluation
from vcore_verl.report.tuning import TUNED, Tuned, only_validates, read_tuning, renamed
from vcore_verl.runs.layout import MANIFEST, RECIPE, Place, places
from vcore_verl.runs.manifest import Manifest
from vcore_verl.runs.migrate import former_runs_line

# What must be equal for evaluations to be compared: key in results.json -> name in messages.
_SHARED = {
    "sampling": "decoding",
    "grader_version": "grader",
    "dtype": "data type",
    "device": "device",
    "versions": "version of vLLM, torch, transformers or math-verify",
}

REFERENCE = "sft"  # the SFT objective that the others are compared with by default


@dataclass(frozen=True)
class TrainedRun(Place):
    """One training run, evaluated before RL (`pre`; base model if init=none) and after (`post`; None if rl=none).

    `tuned`: keys whose values were chosen by tuning.
    """

    pre: Evaluation
    post: Evaluation | None
    tuned: tuple[str, ...] = ()

    @property
    def arm(self) -> str:
        return f"{self.init}-{self.rl}"

    @property
    def name(self) -> str:
        """`vcore/seed0/grpo`, like its folder below runs/<recipe>; `vcore+tuned/seed0/grpo` with tuned settings."""
        return f"{self.init}/seed{self.seed}" + ("" if self.rl == "none" else f"/{self.rl}")

    @property
    def homes(self) -> dict[str, Path]:
        """Stage ("sft", "rl") -> the folder of its results and record."""
        return {"sft": self.folder} if self.rl == "none" else {"sft": self.folder.parent, "rl": self.folder}

    @cached_property
    def records(self) -> dict[str, dict[str, Any]]:
        """Stage -> its record in the manifest; empty for a run made elsewhere."""
        manifests = {stage: Manifest(home / MANIFEST).stages for stage, home in self.homes.items()}
        return {stage: records[stage] for stage, records in manifests.items() if stage in records}

    @cached_property
    def recipe(self) -> Recipe | None:
        """The recipe of the run; None for a run made elsewhere, or if it was written by an incompatible version."""
        path = self.folder / RECIPE
        try:
            return read(path) if path.is_file() else None
        except RecipeError:
            return None


@dataclass
class Collection:
    """All runs that can be compared; `excluded` maps the names of the others to the reason, in one line.

    The other SFT objectives are compared with `against`.
    """

    name: str
    base: Evaluation
    against: str = REFERENCE
    tuning: list[Tuned] = field(default_factory=list)
    runs: list[TrainedRun] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)

    @property
    def arms(self) -> dict[tuple[str, str], list[TrainedRun]]:
        """(rl, init) -> runs ordered by seed; init `against` first, or `sft` if that has not been run."""

        def order(run: TrainedRun) -> tuple[object, ...]:
            init = run.init != self.against, run.init != REFERENCE, run.init == "none", run.init
            return run.rl != DEFAULT, run.rl, *init, run.seed

        arms: dict[tuple[str, str], list[TrainedRun]] = defaultdict(list)
        for run in sorted(self.runs, key=order):
            arms[run.rl, run.init].append(run)
        return dict(arms)


def collect(root: Path, against: str | None = None) -> Collection:
    """The evaluations below `root` = runs/<recipe> that share prompts, decoding and grader with the base model's.

    The other SFT objectives are compared with `against`, by default tuned sft, or sft where that has not been run. Runs
    made for tuning alone are left out, since no test set was used for them. Raises `ReportError` if the base model has
    not been evaluated, or an `against` other than the default has no comparable run. Any other problem excludes the run
    concerned, by name.
    """
    collection = Collection(root.name, read_evaluation(root / "base" / "eval"), against or REFERENCE)
    outcomes = read_tuning(root)
    if line := former_runs_line(root):
        collection.excluded[root.name] = line
    for found in _arms([place for place in places(root) if not only_validates(place)]):
        place = renamed(found, outcomes)
        try:
            run = _read_run(place, collection.base, outcomes)
            reason = mismatch(run.pre, collection.base)
            if run.post:
                reason = reason or mismatch(run.post, collection.base)
        except ReportError as error:
            reason = str(error)
        if reason is None:
            collection.runs.append(run)
        else:
            collection.excluded[str(place.folder.relative_to(root))] = reason
    inits = dict.fromkeys(init for _, init in collection.arms)
    if against is None and (tuned := f"{REFERENCE}+{TUNED}") in inits:
        collection.against = tuned
    elif against not in (None, REFERENCE) and against not in inits:
        raise ReportError(f"no run below {root} starts from {against}; there are {', '.join(inits)}")
    collection.tuning = [item for item in outcomes if (item.rl, item.init) in collection.arms]
    return collection


def _arms(found: list[Place]) -> list[Place]:
    """The runs that the report lists: all RL runs and, if any SFT run has no RL run, all SFT runs as well."""
    trained = [place for place in found if place.rl != "none"]
    started = {place.folder.parent for place in trained}
    alone = [place for place in found if place.rl == "none"]
    return trained + (alone if any(place.folder not in started for place in alone) else [])


def _read_run(place: Place, base: Evaluation, outcomes: list[Tuned]) -> TrainedRun:
    tuned = {key for item in outcomes if place.init == item.init and place.rl in (item.rl, "none") for key in item.keys}
    sft = place.folder if place.rl == "none" else place.folder.parent
    pre = base if place.init == "none" else read_evaluation(sft / "eval")
    post = None if place.rl == "none" else read_evaluation(place.folder / "eval")
    return TrainedRun(**vars(place), pre=pre, post=post, tuned=tuple(sorted(tuned)))


def mismatch(evaluation: Evaluation, reference: Evaluation) -> str | None:
    """Why the two evaluations cannot be compared; None if they can."""
    found, expected = evaluation.results, reference.results
    for key, what in _SHARED.items():
        if found[key] != expected[key]:
            return f"{found['stage']} has another {what} than {reference.folder}"
    if set(found["datasets"]) != set(expected["datasets"]):
        names = [", ".join(sorted(results["datasets"])) for results in (found, expected)]
        return f"{found['stage']} covers {names[0]}, {reference.folder} covers {names[1]}"
    for name, summary in found["datasets"].items():
        if summary.get("dataset_sha") != expected["datasets"][name].get("dataset_sha"):
            found_in = f"{found['stage']} has other prompts, answers or chat template in '{name}'"
            return f"{found_in} than {reference.folder}"
    return None
