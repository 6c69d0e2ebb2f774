"""The report's line on each arm's token weights."""

import json

import pytest

from vcore_verl.report import write_report
from vcore_verl.report.collect import collect
from vcore_verl.report.weights import weights, weights_table


def logged(home, **metrics):
    """SFT metrics of two steps: half the values, then one and a half times."""
    scaled = ({key: scale * value for key, value in metrics.items()} for scale in (0.5, 1.5))
    lines = [{"step": step, "total": 2} | values for step, values in enumerate(scaled, start=1)]
    (home / "sft" / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")


SHARE = {"weights/effective_share": 0.5}


def test_they_are_means_over_steps_and_runs(base, arm):
    for seed, kl in enumerate((0.1, 0.3)):
        logged(arm("vcore", "none", seed=seed), **{"weights/kl": kl, "probe/half_cosine": kl} | SHARE)
    found = weights(collect(base).runs)
    assert found == pytest.approx({"weights/kl": 0.2, "weights/effective_share": 0.5, "probe/half_cosine": 0.2})


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        ({"weights/kl": 0.001, "utility/signal_to_noise": 9.0}, ["0.001", "50.0 %", "", "", "9.00", "uniform"]),
        ({"weights/kl": 0.1, "utility/signal_to_noise": 0.4}, ["0.100", "50.0 %", "", "", "0.40", "mostly noise"]),
        (
            {"weights/kl": 0.1, "utility/signal_to_noise": 3.0, "probe/rounding_signal_to_noise": 7.0},
            ["0.100", "50.0 %", "", "7.00", "3.00", "not uniform"],
        ),
        ({"weights/kl": 1.6}, ["1.600", "50.0 %", "", "", "", "not uniform"]),
    ],
)
def test_a_line_says_what_the_weights_are(metrics, line):
    assert weights_table({"vcore-none": metrics | SHARE}).lines == [["vcore-none", *line]]


def test_the_report_has_a_line_for_each_arm_with_unequal_weights(base, arm):
    logged(arm("sft", "none"), **{"weights/kl": 1e-17, "weights/effective_share": 1.0})
    logged(arm("dft", "none"), **{"weights/kl": 0.2} | SHARE)
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    assert "| dft-none | 0.200 | 50.0 % |" in text
    assert "| sft-none | 0.000" not in text
