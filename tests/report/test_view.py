import io

import pytest
from rich.console import Console

from vcore_verl.report.scores import ReportError
from vcore_verl.report.view import view


def shown(place, *prompt, **settings):
    console = Console(file=io.StringIO(), width=120)
    console.print(view(place, *prompt, **settings))
    return console.file.getvalue()


def test_without_a_prompt_the_changed_ones_are_listed(base, arm):
    arm("vcore", "grpo", pre=0.3, post=0.9)
    text = shown(base)
    rows = [line.split() for line in text.splitlines() if "vcore-grpo" in line]
    assert [row[3] for row in rows] == ["in_domain", "out_of_domain"]
    assert ": in_domain-" in text


def test_an_arm_without_rl_is_compared_with_the_base_model(base, arm):
    arm("vcore", "none", pre=0.9)
    (in_domain, _) = [line for line in shown(base).splitlines() if "vcore-none" in line]
    assert int(in_domain.split()[6].rstrip(":")) > 10 and ": in_domain-" in in_domain


def test_a_prompt_is_shown_before_and_after_rl_and_across_initialisers(base, arm):
    folder = arm("vcore", "grpo")
    arm("sft", "grpo")
    for place in (base, folder):
        text = shown(place, "in_domain-3")
        assert "answer 6" in text
        titles = [
            "Original",
            "sft-grpo: after SFT",
            "sft-grpo: after RL",
            "vcore-grpo: after SFT",
            "vcore-grpo: after RL",
        ]
        positions = [text.index(f"{title}: ") for title in titles]
        assert positions == sorted(positions)
        assert "of 4 samples correct" in text


def test_a_run_is_shown_beside_the_runs_of_its_seed(base, arm):
    for seed in (0, 1):
        arm("vcore", "grpo", seed=seed)
    place = arm("sft", "grpo", seed=1)
    text = shown(place, "in_domain-3")
    assert "vcore-grpo: after RL, seed 1: " in text and "seed 0" not in text
    assert "vcore-grpo: after RL, seed 0: " in shown(base, "in_domain-3")


def test_every_sample_is_shown_when_asked(base):
    assert "sample 3" in shown(base, "in_domain-3", every_sample=True)


def test_an_unknown_prompt_is_named_with_an_example(base):
    with pytest.raises(ReportError, match="no prompt 'x'; ids look like in_domain-0"):
        shown(base, "x")


def test_a_place_without_runs_is_named(tmp_path):
    with pytest.raises(ReportError, match="not in a directory of runs"):
        shown(tmp_path)
