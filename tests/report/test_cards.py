import json

from vcore_verl.config.recipe import load, save
from vcore_verl.report import write_report


def test_the_report_writes_the_results_into_the_model_cards(base, arm):
    run = arm("vcore", "grpo")
    homes = {"sft": run.parent, "rl": run}
    for stage, home in homes.items():
        (home / stage / "hf").mkdir()
        save(load("tiny", []), home / "recipe.yaml")
        (home / "manifest.json").write_text(json.dumps({"versions": {}, "git_commit": None, "stages": {}}))
    write_report(base)
    results = json.loads((run / "eval" / "results.json").read_text())
    mean = results["datasets"]["in_domain"]["avg_at_n"]["mean"]
    after_rl, after_sft = ((homes[stage] / stage / "hf" / "README.md").read_text() for stage in ("rl", "sft"))
    assert "|  | base model | after RL | prompts |" in after_rl
    (line,) = (line for line in after_rl.splitlines() if line.startswith("| in_domain |"))
    assert f"| {100 * mean:.1f} [" in line
    assert "|  | base model | after SFT | prompts |" in after_sft


def test_a_card_states_the_overrides_of_its_run(base, arm):
    run = arm("vcore", "grpo")
    (run / "rl" / "hf").mkdir()
    save(load("tiny", ["sft.steps=7", "hardware.device=cpu"]), run / "recipe.yaml")
    (run / "manifest.json").write_text(json.dumps({"versions": {}, "git_commit": None, "stages": {}}))
    write_report(base)
    command = "`bash scripts/sft_then_grpo.sh tiny init=vcore rl=grpo seed=0 sft.steps=7`"
    assert command in (run / "rl" / "hf" / "README.md").read_text()
