import io

import pytest
from rich.console import Console

from vcore_verl.config.recipe import load, save
from vcore_verl.evaluation.readiness import RATES, Figures
from vcore_verl.evaluation.statistics import Estimate
from vcore_verl.report.readiness import Start, readiness_tables, starts
from vcore_verl.report.scores import ReportError
from vcore_verl.runs.layout import RECIPE


def figures(value: float) -> Figures:
    names = ("pass@1", "pass@16", "mixed", "answer entropy", "token entropy", "gradient signal", "tokens")
    return Figures({name: Estimate(value, value, value) for name in names}, dict.fromkeys(RATES, 2))


def shown(found: dict[Start, Figures]) -> str:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(readiness_tables(found))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 120
    return text


@pytest.fixture
def trained(base, arm):
    """Five SFT runs, each with RL; the better a start, the better its end."""

    def add(number: int):
        run = arm(f"p_power+{number}", "grpo", pre=0.1 + 0.1 * number, post=0.2 + 0.15 * number)
        save(load("tiny", ["init=sft", f"output_dir={base.parent}"]), run / RECIPE)
        (run.parent / "sft" / "hf").mkdir()
        (run.parent / "sft" / "hf" / "config.json").touch()
        return run

    return [add(number) for number in range(5)]


def test_a_place_is_a_checkpoint_a_run_or_all_rl_runs_of_a_recipe(base, trained):
    run = trained[0]
    start = run.parent / "sft" / "hf"
    assert starts([start]) == starts([run.parent]) == [Start(start)]
    assert starts([run]) == [Start(start, run)]
    assert {item.run for item in starts([base])} == set(trained)
    with pytest.raises(ReportError, match="is not a checkpoint in Hugging Face format, nor a run with one"):
        starts([base / "report"])


def test_rl_alone_starts_from_the_base_model(base, arm):
    run = arm("none", "grpo")
    assert starts([run]) == [Start(base / "base" / "hf", run)]


def test_figures_of_finished_runs_are_correlated_with_what_rl_made_of_them(trained):
    found = {start: figures(0.1 * number) for number, start in enumerate(starts(trained))}
    (line,) = [line for line in shown(found).splitlines() if line.startswith("mixed ")]
    assert line.split()[:4] == ["mixed", "+1.00", "[+1.00,", "+1.00]"]


def test_fewer_than_five_runs_are_too_few(trained):
    found = {start: figures(0.1) for start in starts(trained[:4])}
    assert "over 4 runs: too few runs, at least 5 are needed" in shown(found)


def test_checkpoints_alone_have_no_correlations(trained):
    text = shown({Start(run.parent / "sft" / "hf"): figures(0.25) for run in trained[:2]})
    assert "Rank correlation" not in text
    assert "25.0" in text and "0.250" in text
    assert "p_power+1/seed0 " in text and "/hf" not in text


def test_a_single_checkpoint_is_named_by_its_run(trained):
    assert "\np_power+0/seed0 " in shown({Start(trained[0].parent / "sft" / "hf"): figures(0.25)})
