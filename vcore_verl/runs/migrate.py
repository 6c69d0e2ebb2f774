"""Moves runs of the former layout, <init>-<rl>/seed<k>, into the present one. Moves and never deletes. No torch.

There every run held SFT and RL; two runs that differed in RL alone shared the files of SFT by hard links. Here SFT lies
once, and each RL run below it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from vcore_verl.config import objectives
from vcore_verl.config.recipe import BUILTIN
from vcore_verl.runs import lock
from vcore_verl.runs.hashing import MODEL_CARD, Digests, write_whole
from vcore_verl.runs.layout import MANIFEST, RECIPE, is_former
from vcore_verl.runs.manifest import Manifest, fingerprint

SHOWN = 3  # runs named in one line
SFT_STAGES = ("sft", "export_sft", "evaluate_pre_rl")
RL_STAGES = ("rl", "export_rl", "evaluate_post_rl")


def former_runs(root: Path) -> list[Path]:
    """The runs of the former layout below `root` = runs/<recipe>."""
    return sorted(path.parent for path in root.glob(f"*-*/seed*/{RECIPE}") if is_former(path.parent))


def former_runs_line(root: Path) -> str | None:
    """One line that names the runs of the former layout and says how to move them; None where there are none."""
    if not (found := former_runs(root)):
        return None
    names = ", ".join(str(path.relative_to(root)) for path in found[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{names}{more} in {root} have the former layout; `python -m vcore_verl migrate {root}` moves them"


def migrate(root: Path) -> Iterator[str]:
    """Move every run of the former layout below `root` = runs/<recipe>; a line about each.

    Raises `Locked` for a run that another process is writing.
    """
    records = {run: Manifest(run / MANIFEST).stages for run in former_runs(root)}
    if records:
        _convert_shared_records(root)
    # Of several SFT runs that take the same place, the first stays: one that has ended, if there is one.
    for run in sorted(records, key=lambda run: records[run].get("export_sft", {}).get("status") != "done"):
        with lock.exclusive(run / ".lock"):
            yield from _migrate(run, root, records[run])


def _migrate(run: Path, root: Path, records: dict[str, Any]) -> Iterator[str]:
    init, _, rl = run.parent.name.rpartition("-")
    sft_home = root / init / run.name
    home = sft_home if rl == "none" else sft_home / rl
    if home != sft_home and home.exists():
        yield f"{run}: not moved, since {home} is there already"
        return
    if init != "none":
        yield from _move_sft(run, sft_home, records)
        _convert_recipe(run / RECIPE, sft_home / RECIPE)
    home.mkdir(parents=True, exist_ok=True)
    _move(run / "rl", home / "rl")
    _move(run / "eval" / "post_rl", home / "eval")
    _add_records(home, records, RL_STAGES)
    for path in (*sorted((run / "stale").glob("*")), *sorted((run / "logs").glob("*"))):
        _move(path, home / path.relative_to(run))
    _convert_recipe(run / RECIPE, home / RECIPE)
    _move(run / RECIPE, home / "stale" / RECIPE)
    _move(run / MANIFEST, home / "stale" / MANIFEST)
    (run / ".lock").unlink(missing_ok=True)
    for path in (run / "eval", run / "stale", run / "logs", run, run.parent):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    left = f"; not known, left where it is: {', '.join(sorted(p.name for p in run.iterdir()))}" if run.exists() else ""
    yield f"{run} -> {home}{left}"


def _move_sft(run: Path, sft_home: Path, records: dict[str, Any]) -> Iterator[str]:
    """Move SFT and its evaluation to `sft_home`; where there is one, what differs from it goes aside."""
    pairs = {"sft": (run / "sft", sft_home / "sft"), "evaluate_pre_rl": (run / "eval" / "pre_rl", sft_home / "eval")}
    if not (sft_home / "sft").exists():
        for source, target in pairs.values():
            _move(source, target)
        _add_records(sft_home, records, SFT_STAGES)
        return
    kept = Manifest(sft_home / MANIFEST).stages
    for name, (source, target) in pairs.items():
        if not source.exists():
            continue
        _unlink_same_files(source, target)
        if source.exists():
            same = _artefacts(records, SFT_STAGES) == _artefacts(kept, SFT_STAGES)
            aside = _move(source, sft_home / "stale" / name)
            yield f"{run}: its {name} is {'a copy of' if same else 'another than'} {target}, and is now {aside}"


def _unlink_same_files(source: Path, target: Path) -> None:
    """Of a file that has a name in both trees, the name below `source` goes; a model card is written again anyway."""
    for path in sorted(source.rglob("*"), reverse=True):
        twin = target / path.relative_to(source)
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif twin.exists() and (twin.samefile(path) or path.name == MODEL_CARD or _same_link(path, twin)):
            path.unlink()
    if not any(source.iterdir()):
        source.rmdir()


def _same_link(path: Path, other: Path) -> bool:
    return path.is_symlink() and other.is_symlink() and path.readlink() == other.readlink()


def _artefacts(records: dict[str, Any], stages: tuple[str, ...]) -> list[Any]:
    return [records.get(stage, {}).get("artefacts") for stage in stages]


def _move(source: Path, target: Path) -> Path:
    """Rename `source`, where it is, to `target` or, where that is taken, to target-1, -2 and so on; the new name."""
    free, number = target, 0
    while free.exists() or free.is_symlink():
        number += 1
        free = target.with_name(f"{target.name}-{number}")
    if source.exists() or source.is_symlink():
        free.parent.mkdir(parents=True, exist_ok=True)
        source.rename(free)
    return free


def _convert_recipe(source: Path, target: Path) -> None:
    """Write the recipe without the settings that other objectives than its own had in it, unless `target` is there."""
    recipe = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(source)))
    recipe.pop("vcore_paper", None)
    owned = _owns(recipe["init"]["name"])
    recipe["init"] = {key: value for key, value in recipe["init"].items() if owned(key)}
    if not target.exists():
        write_whole(target, OmegaConf.to_yaml(OmegaConf.create(recipe)))


def _owns(objective: str) -> Callable[[str], bool]:
    """Whether a key of `init`, or of its section `probe`, is one of the objective's."""
    declared = objectives.builtin().get(objective)
    if declared is None:
        return lambda key: key == "name"
    known = {"name", *(item.name for item in declared.parameters), *(("probe",) if "utility" in declared.needs else ())}
    return lambda key: key.partition(".")[0] in known


def _add_records(home: Path, records: dict[str, Any], stages: tuple[str, ...]) -> None:
    manifest = Manifest(home / MANIFEST)
    manifest.stages |= {stage: _converted(records[stage]) for stage in stages if stage in records}
    manifest.save()


def _converted(record: dict[str, Any]) -> dict[str, Any]:
    """Without what a result does not depend on. What code made it is not known, and it counts as the present one."""
    owned = _owns(record["depends"].get("init.name", "none"))
    depends = {
        key: value
        for key, value in record["depends"].items()
        if key != "package vcore-verl" and (not key.startswith("init.") or owned(key.removeprefix("init.")))
    }
    kept = {key: value for key, value in record.items() if key != "taken_from"}
    return kept | {"depends": depends, "fingerprint": fingerprint(depends)}


def _convert_shared_records(root: Path) -> None:
    manifest = Manifest(root / MANIFEST)
    manifest.stages = {name: _converted(record) for name, record in manifest.stages.items()}
    if "data" in manifest.stages:
        manifest.stages["data"] = _without_test_sets(manifest.stages["data"], root / "data")
    if manifest.stages:
        manifest.save()


def _without_test_sets(record: dict[str, Any], data: Path) -> dict[str, Any]:
    """Of a stage that wrote the evaluation sets too, and left out their problems: what concerns the training sets."""
    depends = {key: value for key, value in record["depends"].items() if not key.startswith("evaluation.")}
    depends.pop("data.num_test", None)
    if not str(depends.get("data.sft", "")).startswith(BUILTIN):
        depends["data.decontaminate"] = record["depends"].get("evaluation.datasets")
    digests, artefacts = Digests(data.parent / ".digests.json"), record.get("artefacts", {})
    if artefacts.get("*.parquet") == digests.of(data / "*.parquet"):
        artefacts = {name: digests.of(data / name) for name in ("sft.parquet", "rl.parquet")}
    return record | {"depends": depends, "fingerprint": fingerprint(depends), "artefacts": artefacts}
