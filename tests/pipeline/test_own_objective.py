from pathlib import Path

from tests.config.test_objectives import POWER
from vcore_verl.config.recipe import load
from vcore_verl.pipeline.stage import dependencies
from vcore_verl.pipeline.stages import stages
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import Run


def test_sft_follows_from_the_file_of_an_objective_of_ones_own(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "power.py"
    file.write_text(POWER)
    (tmp_path / "power.yaml").write_text("name: power\nfile: power.py\n")
    recipe = load("tiny", ["init=./power.yaml"])
    found = {stage.name: stage for stage in stages(recipe, Run(recipe))}
    assert [name for name, stage in found.items() if file in stage.inputs] == ["sft"]
    before = dependencies(found["sft"], recipe, Run(recipe), Digests(tmp_path / "before.json"))
    file.write_text(POWER.replace("-exponent", "-2 * exponent"))
    after = dependencies(found["sft"], recipe, Run(recipe), Digests(tmp_path / "after.json"))
    assert [name for name in before if before[name] != after[name]] == ["../../power.py"]
