"""Which evaluations belong together: the runs of a recipe, and why some of them cannot be compared."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vcore_verl.evaluation.results import RESULTS
from vcore_verl.report.scores import Evaluation, ReportError, read_evaluation
from vcore_verl.runs.layout import Place, places
from vcore_verl.runs.migrate import former_runs_line

# What evaluations have in common where they are compared, as results.json and as a person calls it.
_SHARED = {
    "sampling": "decoding",
    "grader_version": "grader",
    "dtype": "data type",
    "device": "device",
    "versions": "version of vLLM, torch, transformers or math-verify",
}

REFERENCE = "sft"  # the initialiser that the others are compared with, unless another one is asked for


@dataclass(frozen=True)
class TrainedRun:
    """One training run, as `runs.layout.Place` says where.

    `pre` is None where RL started from an unevaluated base model, `post` where rl=none.
    """

    folder: Path
    init: str
    rl: str
    seed: int
    pre: Evaluation | None
    post: Evaluation | None

    @property
    def final(self) -> Evaluation | None:
        return self.pre if self.rl == "none" else self.post

    @property
    def name(self) -> str:
        """`vcore/seed0/grpo`, as its folder below runs/<recipe>."""
        return f"{self.init}/seed{self.seed}" + ("" if self.rl == "none" else f"/{self.rl}")

    @property
    def homes(self) -> dict[str, Path]:
        """Stage ("sft", "rl") -> the folder that its results and record lie in."""
        return {"sft": self.folder} if self.rl == "none" else {"sft": self.folder.parent, "rl": self.folder}


@dataclass(frozen=True)
class Excluded:
    """A run left out of every table and plot, and the reason in one line."""

    name: str
    reason: str


@dataclass
class Collection:
    """Everything that can be compared, and what cannot. The other initialisers are compared with `against`."""

    name: str
    base: Evaluation | None
    runs: list[TrainedRun] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    against: str = REFERENCE

    @property
    def arms(self) -> dict[tuple[str, str], list[TrainedRun]]:
        """(rl, init) -> runs in order of their seeds; init `against` first, or `sft` where that has not been run."""

        def order(run: TrainedRun) -> tuple[object, ...]:
            init = run.init != self.against, run.init != REFERENCE, run.init == "none", run.init
            return run.rl != "grpo", run.rl, *init, run.seed

        arms: dict[tuple[str, str], list[TrainedRun]] = defaultdict(list)
        for run in sorted(self.runs, key=order):
            arms[run.rl, run.init].append(run)
        return dict(arms)

    @property
    def reference(self) -> Evaluation:
        """The evaluation whose prompts, decoding and grader the others have to share."""
        if self.base is not None:
            return self.base
        return next(evaluation for run in self.runs if (evaluation := run.final) is not None)


def collect(root: Path, against: str = REFERENCE) -> Collection:
    """The evaluations below `root` = runs/<recipe>.

    Raises `ReportError` where there is nothing to report on, and where no run is there to compare with of the
    initialiser that `against` names. Everything else that is wrong excludes a run, by name.
    """
    collection = collect_runs(root.name, root / "base" / "eval", _arms(places(root)), root)
    found = dict.fromkeys(init for _, init in collection.arms)
    if against != REFERENCE and against not in found:
        raise ReportError(f"no run below {root} starts from {against}; there are {', '.join(found)}")
    collection.against = against
    return collection


def _arms(found: list[Place]) -> list[Place]:
    """What a report has a line for: the RL runs; and SFT alone, of all seeds, where an SFT run has no RL below it."""
    trained = [place for place in found if place.rl != "none"]
    started = {place.folder.parent for place in trained}
    alone = [place for place in found if place.rl == "none"]
    return trained + (alone if any(place.folder not in started for place in alone) else [])


def collect_runs(name: str, base_folder: Path, runs: Iterable[Place], root: Path) -> Collection:
    """The evaluations of `runs` against the base model's in `base_folder`."""
    collection = Collection(name, None)
    if line := former_runs_line(root):
        collection.excluded.append(Excluded(root.name, line))
    if (base_folder / RESULTS).is_file():
        collection.base = read_evaluation(base_folder)
    candidates: list[TrainedRun] = []
    for place in runs:
        try:
            candidates.append(_read_run(place, collection.base))
        except ReportError as error:
            collection.excluded.append(Excluded(_name(place.folder, root), str(error)))
    for run in candidates:
        expected = collection.reference if collection.base or collection.runs else run.final
        reason = next(filter(None, (mismatch(evaluation, expected) for evaluation in (run.pre, run.post))), None)
        if reason is None:
            collection.runs.append(run)
        else:
            collection.excluded.append(Excluded(_name(run.folder, root), reason))
    if collection.base is None and not collection.runs:
        reasons = "".join(f"; {item.name}: {item.reason}" for item in collection.excluded)
        raise ReportError(f"nothing to report on below {root}: no finished evaluation{reasons}")
    return collection


def _read_run(place: Place, base: Evaluation | None) -> TrainedRun:
    sft = place.folder if place.rl == "none" else place.folder.parent
    pre = base if place.init == "none" else read_evaluation(sft / "eval")
    post = None if place.rl == "none" else read_evaluation(place.folder / "eval")
    return TrainedRun(place.folder, place.init, place.rl, place.seed, pre, post)


def _name(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)


def mismatch(evaluation: Evaluation | None, reference: Evaluation | None) -> str | None:
    """Why the two must not be compared, or None where they may."""
    if evaluation is None or reference is None:
        return None
    found, expected = evaluation.results, reference.results
    for key, what in _SHARED.items():
        if found.get(key) != expected.get(key):
            return f"{found['stage']} has another {what} than {reference.folder}"
    if set(found["datasets"]) != set(expected["datasets"]):
        return f"{found['stage']} covers {_names(found)}, {reference.folder} covers {_names(expected)}"
    for name, summary in found["datasets"].items():
        if summary.get("dataset_sha") != expected["datasets"][name].get("dataset_sha"):
            found_in = f"{found['stage']} has other prompts, answers or chat template in '{name}'"
            return f"{found_in} than {reference.folder}"
    return None


def _names(results: dict[str, dict[str, object]]) -> str:
    return ", ".join(sorted(results["datasets"]))
