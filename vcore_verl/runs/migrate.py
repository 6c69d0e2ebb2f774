"""Moves runs of the old layout, <init>-<rl>/seed<k>, into the current one; deletes nothing. Imports no torch.

In the old layout every run held SFT and RL, and runs that differed only in RL shared the SFT files by hard links. Now
SFT is stored once, with each RL run below it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from vcore_verl.config import objectives
from vcore_verl.config.checks import BUILTIN
from vcore_verl.runs import lock
from vcore_verl.runs.hashing import Digests, write_whole
from vcore_verl.runs.layout import MANIFEST, RECIPE, is_former
from vcore_verl.runs.manifest import Manifest, fingerprint, some

SFT_STAGES = ("sft", "export_sft", "evaluate_pre_rl")
RL_STAGES = ("rl", "export_rl", "evaluate_post_rl")


def former_runs(root: Path) -> list[Path]:
    """The runs of the old layout below `root` = runs/<recipe>."""
    return sorted(path.parent for path in root.glob(f"*-*/seed*/{RECIPE}") if is_former(path.parent))


def former_runs_line(root: Path) -> str | None:
    """One line that names the runs of the old layout and how to move them; None if there are none."""
    if not (found := former_runs(root)):
        return None
    names = some([str(path.relative_to(root)) for path in found])
    return f"{names} in {root} have the old layout; `python -m vcore_verl migrate {root}` moves them"


def migrate(root: Path) -> Iterator[str]:
    """Move every run of the old layout below `root` = runs/<recipe>, and yield a line about each.

    Raises `Locked` for a run that another process is writing.
    """
    records = {run: Manifest(run / MANIFEST).stages for run in former_runs(root)}
    if shared := Manifest(root / MANIFEST).stages if records else {}:
        _add_records(root, shared, tuple(shared))
    # Of several SFT runs with the same new folder the first is kept: a finished one, if any.
    for run in sorted(records, key=lambda run: records[run].get("export_sft", {}).get("status") != "done"):
        with lock.exclusive(run / ".lock"):
            yield _migrate(run, root, records[run])


def _migrate(run: Path, root: Path, records: dict[str, Any]) -> str:
    """Move a run's results to their new folders; other files, and an SFT whose folder is taken, go to stale/."""
    init, _, rl = run.parent.name.rpartition("-")
    sft_home = root / init / run.name
    home = sft_home if rl == "none" else sft_home / rl
    aside = home / "stale" / run.parent.name
    if (home != sft_home and home.exists()) or aside.exists():
        return f"{run}: not moved, since {home} already exists"
    said = f"{run} -> {home}"
    if (sft_home / "sft").exists():
        kept = Manifest(sft_home / MANIFEST).stages
        if _artefacts(kept) != _artefacts(records):
            said += f"; its SFT differs from {sft_home / 'sft'} and was moved to {aside / 'sft'}"
    elif init != "none":
        _move(run / "sft", sft_home / "sft")
        _move(run / "eval" / "pre_rl", sft_home / "eval")
        _add_records(sft_home, records, SFT_STAGES)
        _convert_recipe(run / RECIPE, sft_home / RECIPE)
    if home != sft_home:
        _move(run / "rl", home / "rl")
        _move(run / "eval" / "post_rl", home / "eval")
        _add_records(home, records, RL_STAGES)
        _convert_recipe(run / RECIPE, home / RECIPE)
    _move(run / "logs", home / "logs")
    _move(run, aside)
    if not any(run.parent.iterdir()):
        run.parent.rmdir()
    return said


def _move(source: Path, target: Path) -> None:
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)


def _artefacts(records: dict[str, Any]) -> list[Any]:
    return [records.get(stage, {}).get("artefacts") for stage in SFT_STAGES]


def _convert_recipe(source: Path, target: Path) -> None:
    """Write the recipe without the settings of objectives other than its own."""
    recipe = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(source)))
    recipe.pop("vcore_paper", None)
    own = _settings_of(recipe["init"]["name"])
    recipe["init"] = {key: value for key, value in recipe["init"].items() if key in own}
    write_whole(target, OmegaConf.to_yaml(OmegaConf.create(recipe)))


def _settings_of(objective: str) -> set[str]:
    """The keys of the section `init` for an objective."""
    declared = objectives.builtin().get(objective)
    if declared is None:
        return {"name"}
    return {"name", *(item.name for item in declared.parameters), *(["probe"] * ("utility" in declared.needs))}


def _add_records(home: Path, records: dict[str, Any], stages: tuple[str, ...]) -> None:
    manifest = Manifest(home / MANIFEST)
    manifest.stages |= {stage: _converted(stage, records[stage], home) for stage in stages if stage in records}
    manifest.save()


def _converted(stage: str, record: dict[str, Any], home: Path) -> dict[str, Any]:
    """The record without what its result does not depend on. Unknown code counts as the current one."""
    asked, kept = record["depends"], {key: value for key, value in record.items() if key != "taken_from"}
    own = {f"init.{key}" for key in _settings_of(asked.get("init.name", "none"))}
    ignored = ("package vcore-verl", *(("evaluation.", "data.num_test") if stage == "data" else ()))
    depends = {
        key: value
        for key, value in asked.items()
        if not key.startswith(ignored) and (not key.startswith("init.") or ".".join(key.split(".")[:2]) in own)
    }
    if stage == "data":  # it also wrote the evaluation sets, and excluded their problems from training
        if not str(asked.get("data.sft", "")).startswith(BUILTIN):
            depends["data.decontaminate"] = asked.get("evaluation.datasets")
        digests = Digests(home / ".digests.json")
        kept["artefacts"] = {name: digests.of(home / "data" / name) for name in ("sft.parquet", "rl.parquet")}
    return kept | {"depends": depends, "fingerprint": fingerprint(depends)}
