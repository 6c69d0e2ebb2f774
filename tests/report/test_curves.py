import json

from vcore_verl.report import write_report
from vcore_verl.report.collect import collect
from vcore_verl.report.curves import accuracy_by_step, reward_by_part


def logged(folder, lines):
    path = folder / "rl" / "metrics.jsonl"
    path.write_text("\n".join(json.dumps({"total": len(lines)} | line) for line in lines) + "\n")


def runs_of(base, arm, curves):
    """Runs that were tested at every second step, with these accuracies; the reward is the step."""
    for seed, values in enumerate(curves):
        tested = {2 * number + 2: value for number, value in enumerate(values)}
        lines = [{"step": step, "critic/score/mean": step} for step in range(1, 2 * len(values) + 1)]
        for line in lines:
            if line["step"] in tested:
                line["val-core/vcore/arithmetic/acc/mean@1"] = tested[line["step"]]
                line["val-aux/vcore/arithmetic/reward/mean@1"] = 7.0
        logged(arm("sft", "grpo", seed=seed), lines)
    return collect(base).runs


def test_accuracy_over_the_steps_is_the_mean_over_runs(base, arm):
    runs = runs_of(base, arm, [(0.25, 0.5, 0.75), (0.5, 0.5, 0.5)])
    assert accuracy_by_step(runs) == {"2": 0.375, "4": 0.5, "6": 0.625}


def test_reward_is_the_mean_of_five_parts_of_the_steps(base, arm):
    runs = runs_of(base, arm, [(0.0,) * 5])
    assert reward_by_part(runs) == {"1-2": 1.5, "3-4": 3.5, "5-6": 5.5, "7-8": 7.5, "9-10": 9.5}


def test_the_report_shows_accuracy_over_the_steps_where_it_was_tested(base, arm):
    runs_of(base, arm, [(0.25, 0.5, 0.75)])
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    assert "| arm | step 0 | step 2 | step 4 | step 6 |" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| sft-grpo | ")][:1]
    assert line.endswith(" | 25.0 | 50.0 | 75.0 |")


def test_without_rl_there_are_no_curves(base, arm):
    arm("sft", "none")
    runs = collect(base).runs
    assert accuracy_by_step(runs) == reward_by_part(runs) == {}
