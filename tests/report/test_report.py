import io
import re

import pytest
from rich.console import Console

from vcore_verl.report import keep, terminal_summary, write_report


def shown(root, width=130):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal_summary(root))
    return re.sub(r"\s+", " ", console.export_text())


def test_one_arm_says_what_sft_and_rl_each_brought(base, arm):
    arm("vcore", "grpo")
    text = shown(base)
    assert "SFT (vcore) raised accuracy from" in text
    assert "RL (grpo) raised accuracy from" in text
    assert "one training run per arm" in text
    assert (
        text.index("Original")
        < text.index("after SFT (vcore)", text.index("Original"))
        < text.rindex("after RL (grpo)")
    )


def test_no_difference_is_claimed_where_the_interval_contains_zero(base, arm):
    arm("vcore", "grpo", pre=0.5, post=0.5001)
    text = shown(base)
    assert "RL (grpo) made no difference that 40 prompts can show" in text
    assert "RL (grpo) raised" not in text


def test_several_arms_are_told_apart_only_where_holm_allows(base, arm):
    for init, post in (("sft", 0.6), ("vcore", 0.95), ("dft", 0.6001), ("random", 0.3)):
        arm(init, "grpo", post=post)
    text = shown(base)
    standing = r"vcore \(.*\) is ahead of sft, and random \(.*\) is behind sft, and dft is not told apart from sft"
    assert re.search(f"On in_domain, after grpo: {standing}", text)


def test_several_seeds_are_judged_by_their_own_interval(base, arm):
    for seed, (sft, vcore, dft) in enumerate([(0.5, 0.95, 0.9), (0.51, 0.5, 0.91), (0.49, 0.75, 0.89)]):
        for init, post in (("sft", sft), ("vcore", vcore), ("dft", dft)):
            arm(init, "grpo", post=post, seed=seed)
    text = shown(base)
    assert "after grpo (3 training runs per arm): dft (" in text
    assert "and vcore is not told apart from sft" in text
    assert "The intervals are over training runs" in text


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
    first = next(line for line in lines if line.startswith("iw_sft-grpo x2"))
    assert first.count("[") == (2 if width == 80 else 1)


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


def test_the_report_has_its_tables_and_pictures(base, arm):
    arm("vcore", "grpo")
    arm("sft", "grpo")
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert pictures == ["accuracy.png", "training.png", "pass_at_k.png", "domains.png"]
    for picture in pictures:
        assert (base / "report" / picture).read_bytes().startswith(b"\x89PNG")
    assert "## in_domain (40 prompts)" in text and "| vcore - sft |" in text and "| vcore-grpo |" in text


def test_what_is_kept_of_a_report_has_its_pictures_beside_it_and_is_small(base, arm, tmp_path):
    arm("vcore", "grpo")
    write_report(base)
    keep(base, tmp_path / "results" / "tiny")
    kept = {path.name: path.stat().st_size for path in (tmp_path / "results" / "tiny").iterdir()}
    pictures = re.findall(r"!\[.*\]\((.*)\)", (tmp_path / "results" / "tiny" / "report.md").read_text())
    assert set(kept) == {"report.md", "comparison.json", *pictures}
    assert max(kept[picture] for picture in pictures) < 150_000


def test_what_is_left_out_is_said(base, arm):
    arm("vcore", "grpo")
    arm("dft", "grpo", num_prompts=30)
    write_report(base)
    assert "`dft-grpo/seed0`: pre_rl has other prompts" in (base / "report" / "report.md").read_text()
    assert "left out: dft-grpo/seed0" in shown(base)
