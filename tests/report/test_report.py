import io
import json
import re

import pytest
from rich.console import Console

from vcore_verl.report import terminal_summary, write_report
from vcore_verl.report.versus import versus


def shown(root, width=130):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal_summary(root))
    return re.sub(r"\s+", " ", console.export_text())


def test_one_arm_says_what_sft_and_rl_each_brought(base, arm):
    arm("vcore", "grpo")
    text = shown(base)
    assert text.startswith("Primary measure: sampled accuracy on in_domain after RL with a fixed budget (grpo).")
    assert re.search(r"accuracy went from .* with SFT \(vcore\) \(\+.* over prompts\)", text)
    assert re.search(r"and accuracy went from .* with RL \(grpo\) \(\+.* over prompts\)", text)
    assert "numbers of checkpoints (one training run per arm), not findings about methods" in text
    assert (
        text.index("Original")
        < text.index("after SFT (vcore)", text.index("Original"))
        < text.rindex("after RL (grpo)")
    )


def test_three_training_runs_of_one_arm_say_what_each_stage_does(base, arm):
    for seed in range(3):
        arm("vcore", "grpo", pre=0.4 + 0.01 * seed, post=0.43 + (0.06, -0.03, 0.01)[seed], seed=seed)
    text = shown(base)
    assert re.search(
        r"On in_domain, accuracy went from \S+ to \S+ % with SFT .* and RL \(grpo\) significantly raised", text
    )
    assert re.search(r"Secondary: on out_of_domain, accuracy went from .* with RL \(grpo\) .* over runs\)", text)


def test_several_arms_of_three_runs_are_ranked_where_holm_allows(base, arm):
    for init, post in (("sft", 0.6), ("vcore", 0.93), ("dft", 0.6001), ("random", 0.3)):
        for seed in range(3):
            arm(init, "grpo", post=post + 0.01 * seed, seed=seed)
    text = shown(base)
    standing = (
        r"vcore \(.* over runs\) is significantly better than sft, and random \(.* over runs\) is significantly worse"
        r" than sft, and dft \(.* over runs\) is not significantly different from sft\."
    )
    assert re.search(rf"After grpo \(3 training runs per arm\): {standing}", text)
    secondary = r"not findings\): sampled accuracy on out_of_domain after RL with grpo: random \(.*\) and vcore \(.*\)"
    assert re.search(rf"Secondary differences with p < 0.05 in their family .*{secondary}", text)
    assert "*" in text


@pytest.mark.parametrize("num_runs", [1, 2])
def test_fewer_than_three_training_runs_are_no_finding_in_any_form(base, arm, num_runs):
    for seed in range(num_runs):
        for init, post in (("sft", 0.3), ("vcore", 0.95)):
            arm(init, "grpo", post=post + 0.02 * seed, seed=seed)
    write_report(base)
    texts = {name: (base / "report" / name).read_text() for name in ("report.md", "report.html")}
    texts["terminal"] = shown(base)
    for text in texts.values():
        assert "has too few training runs for a test against sft" in text
        assert not re.search("significantly|ahead of|behind|raised|lowered", text)
    (line,) = [line for line in texts["report.md"].splitlines() if line.startswith("| grpo | vcore - sft |")]
    assert "| too few runs |" in line and "| yes |" not in line
    assert ">too few runs</td>" in texts["report.html"] and ">yes</td>" not in texts["report.html"]
    assert "] *" not in texts["terminal"]


def test_several_seeds_are_judged_by_their_own_interval(base, arm):
    for seed, (sft, vcore, dft) in enumerate([(0.5, 0.95, 0.9), (0.51, 0.5, 0.91), (0.49, 0.75, 0.89)]):
        for init, post in (("sft", sft), ("vcore", vcore), ("dft", dft)):
            arm(init, "grpo", post=post, seed=seed)
    text = shown(base)
    assert "After grpo (3 training runs per arm): dft (" in text
    assert re.search(r"and vcore \([^)]*\) is not significantly different from sft", text)
    assert "significant only on the primary measure, with at least 3 training runs on each side" in text


@pytest.mark.parametrize("width", [60, 80])
def test_many_arms_fit_a_narrow_terminal(base, arm, width):
    for init in ("sft", "iw_sft", "random", "none"):
        for seed in range(2):
            arm(init, "grpo", pre=0.3, post=0.1 + 0.05 * seed, seed=seed)
    arm("vcore", "dapo")
    arm("sft", "dapo")
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal_summary(base))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert "\u2026" not in "".join(lines)
    first = next(line for line in lines if line.startswith("iw_sft-grpo"))
    assert width == 60 or first.count("[") == 2


def test_several_seeds_are_named(base, arm):
    for seed in range(2):
        arm("vcore", "grpo", post=0.8 + 0.01 * seed, seed=seed)
    assert "after RL (grpo, 2 seeds)" in shown(base)
    assert "one training run" not in shown(base)


@pytest.mark.parametrize(("init", "rl"), [("vcore", "none"), ("none", "grpo")])
def test_half_a_pipeline_has_a_report(base, arm, init, rl):
    arm(init, rl)
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    assert ("| after SFT" in text) == (init != "none")
    assert ("| after RL" in text) == (rl != "none")


def test_the_base_model_alone_has_a_report(base):
    write_report(base)
    assert "No training run has been evaluated yet" in (base / "report" / "report.md").read_text()


def test_the_report_has_its_tables_and_plots(base, arm):
    arm("vcore", "grpo")
    arm("sft", "grpo")
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    plots = re.findall(r"!\[.*\]\((.*)\)", text)
    assert plots == ["accuracy.png", "training.png", "pass_at_k.png", "domains.png"]
    for plot in plots:
        picture = (base / "report" / plot).read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) < 150_000
    assert (
        "## in_domain (40 prompts): primary, sampled" in text and "| vcore - sft |" in text and "| vcore-grpo |" in text
    )


def test_the_reward_over_the_steps_stands_for_the_curve_of_accuracy(base, arm):
    for init in ("sft", "vcore"):
        arm(init, "grpo")
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    assert "| arm | steps 1 | steps 2 | steps 3 | steps 4 | steps 5 |" in text
    assert "| sft-grpo | 1.000 | 0.500 | 0.333 | 0.250 | 0.200 |" in text
    assert "which was not measured (rl.test_every)" in text


def test_accuracy_by_other_graders_is_an_appendix(base, arm):
    arm("vcore", "grpo")
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    assert "| data set | model | decoding | reward | math_verify | box_anywhere |" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| in_domain | after RL (grpo) | greedy |")][-1:]
    assert line.endswith("| 100.0 [90.7, 100.0] |")
    assert line.split(" | ")[3] == line.split(" | ")[4]


def test_where_nothing_varies_there_is_no_p_and_no_power(base, arm):
    arm("vcore", "grpo", pre=0.0, post=0.0)
    text = shown(base)
    assert "accuracy went from 0.0 to 0.0 % with RL (grpo) (+0.0 points [-9.3, +9.3] over prompts)" in text
    (line,) = re.findall(r"after RL \(grpo\) +0\.0 \[0\.0, 9\.3\] \+0\.0 \[-9\.3, \+9\.3\] (\S+)", text)[:1]
    assert line.isdigit()  # the tokens: there is no p


def test_what_is_left_out_is_said(base, arm):
    arm("vcore", "grpo")
    arm("dft", "grpo", num_prompts=30)
    write_report(base)
    assert "`dft/seed0/grpo`: pre_rl has other prompts" in (base / "report" / "report.md").read_text()
    assert "excluded: dft/seed0/grpo" in shown(base)


def test_problems_that_cannot_be_judged_are_counted_beside_the_tables(base, arm):
    folder = arm("vcore", "grpo")
    for path in (base / "base" / "eval" / "results.json", folder / "eval" / "results.json"):
        results = json.loads(path.read_text())
        results["datasets"]["in_domain"]["unjudged"] = 3
        path.write_text(json.dumps(results))
    problems = results["datasets"]["in_domain"]["num_prompts"]
    line = f"in_domain: 3 of {problems} problems cannot be judged here and count as failed"
    write_report(base)
    assert line in shown(base) and f"- {line}" in (base / "report" / "report.md").read_text()
    console = Console(width=130, record=True, file=io.StringIO())
    console.print(versus([folder]))
    assert line in console.export_text()


def test_results_on_what_training_may_have_seen_say_so(base, arm):
    folder = arm("vcore", "grpo")
    path = folder / "eval" / "results.json"
    results = json.loads(path.read_text())
    results["datasets"]["in_domain"]["decontaminated"] = True
    results["datasets"]["out_of_domain"]["decontaminated"] = False
    path.write_text(json.dumps(results))
    line = "the training data may hold problems of out_of_domain: data.decontaminate leaves them out"
    assert line in shown(base)
    write_report(base)
    assert f"- {line}" in (base / "report" / "report.md").read_text()
    console = Console(width=130, record=True, file=io.StringIO())
    console.print(versus([folder]))
    assert line in console.export_text()
