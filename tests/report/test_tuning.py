import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from vcore_verl.report import write_report
from vcore_verl.report.collect import collect
from vcore_verl.report.terminal import rich_table
from vcore_verl.report.tuning import Tuned, points, tuning_table, write_tuning


def tuned(scores: dict[tuple[str, ...], list], keys=("sft.learning_rate",), **more) -> Tuned:
    made = points({values: [np.array(item, float) for item in by_seed] for values, by_seed in scores.items()})
    names = {"init": "sft+tuned", "rl": "grpo", "folders": ("sft+learning_rate-1e-3", "grpo"), "lacks": ()}
    settings = {"after": "sft", "decoding": "sampled", "num_prompts": 4, "seeds": (0,)}
    return Tuned(**(names | settings | {"keys": keys, "points": made} | more))


def test_the_best_point_has_the_highest_mean_over_the_tuning_seeds():
    found = tuned({("1",): [[1, 0, 0, 0], [1, 1, 1, 1]], ("2",): [[1, 1, 0, 0], [1, 1, 0, 0]], ("3",): [[0] * 4] * 2})
    assert [point.accuracy for point in found.points] == [0.625, 0.5, 0.0]
    assert found.best.values == ("1",)


def test_a_tie_and_an_edge_are_said():
    found = tuned({("1e-3",): [[1, 0, 1, 0]], ("2e-3",): [[0, 1, 0, 1]], ("5e-4",): [[0, 0, 0, 0]]})
    assert found.best.values == ("1e-3",)
    assert found.remarks[0] == "tie with 2e-3: the first was taken"
    assert not any("edge" in remark for remark in found.remarks)
    edge = tuned({("1e-3",): [[0, 0, 0, 0]], ("2e-3",): [[1, 1, 1, 1]]})
    assert edge.remarks == ["sft.learning_rate=2e-3 is at the edge of the grid: extend it"]


def test_values_that_are_no_numbers_have_no_edge():
    found = tuned({("sgd",): [[1, 1, 1, 1]], ("adam_step",): [[0, 0, 0, 0]]}, keys=("init.probe.update",))
    assert found.remarks == []


def test_what_the_data_do_not_separate_is_said():
    rng = np.random.default_rng(0)
    scores = rng.random((2, 200)) < 0.5
    found = tuned({("1",): [scores[0]], ("2",): [scores[1]], ("3",): [scores[0] * scores[1]]})
    (remark,) = [remark for remark in found.remarks if "significantly" in remark]
    assert "3" not in remark


@pytest.fixture
def compared(base, arm, evaluation):
    """Two tuned arms of two seeds, one of them with a run for tuning alone, and RL alone."""
    for init, value, post in (("sft", "1e-3", 0.6), ("vcore", "2e-3", 0.7)):
        for seed in (0, 1):
            arm(f"{init}+learning_rate-{value}", "grpo", post=post + 0.01 * seed, seed=seed)
        evaluation(base / f"{init}+learning_rate-5e-4" / "seed0" / "validation", 0.2, datasets=["validation"])
    arm("none", "grpo", post=0.5)
    scores = {("1e-3",): [[1, 1, 1, 0]], ("5e-4",): [[0, 0, 0, 0]]}
    write_tuning(base, [tuned(scores)])
    folders = ("vcore+learning_rate-2e-3", "grpo")
    write_tuning(base, [replace(tuned(scores), init="vcore+tuned", folders=folders, lacks=("init.level",))])
    return base


def test_tuned_arms_are_one_comparison_against_tuned_sft(compared):
    collection = collect(compared)
    assert collection.against == "sft+tuned"
    assert {arm: len(runs) for arm, runs in collection.arms.items()} == {
        ("grpo", "sft+tuned"): 2,
        ("grpo", "vcore+tuned"): 2,
        ("grpo", "none"): 1,
    }
    assert collection.excluded == {}
    assert [run.tuned for run in collection.runs if run.init == "none"] == [()]
    assert {run.tuned for run in collection.runs if run.init != "none"} == {("sft.learning_rate",)}


def test_the_report_holds_values_and_validation_scores(compared):
    write_report(compared)
    text = (compared / "report" / "report.md").read_text()
    assert "## Tuned settings" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| vcore+tuned-grpo | sft.learning_rate=")]
    assert "| sft.learning_rate=1e-3 | after SFT | 1e-3: 75.0; 5e-4: 0.0 |" in line
    edge = "sft.learning_rate=1e-3 is at the edge of the grid: extend it"
    assert re.search(rf"vcore.tuned-grpo: {edge}; .*has no init.level\. Each arm has", text)
    assert re.search("vcore.tuned .* have too few training runs for a test against sft.tuned", text)


def test_the_table_fits_a_terminal(compared):
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(rich_table("Tuned settings", tuning_table(collect(compared).tuning)))
    assert max(map(len, console.export_text().splitlines())) <= 120
