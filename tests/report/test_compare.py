import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from vcore_verl.config.recipe import load, save
from vcore_verl.evaluation.statistics import mean_interval
from vcore_verl.report import ReportError, write_report


def frame(folder, dataset, decoding="sample"):
    """Straight from the parquet, by other code than the report's."""
    table = pq.read_table(folder / "samples.parquet").to_pandas()
    return table[(table.dataset == dataset) & (table.decoding == decoding)]


def written(root):
    write_report(root)
    return json.loads((root / "report" / "comparison.json").read_text())


def pairs_of(root, dataset="in_domain", stage="rl", decoding="sampled"):
    found = written(root)["pairwise"]
    return [pair for pair in found if (pair["dataset"], pair["stage"], pair["decoding"]) == (dataset, stage, decoding)]


def in_domain_pair(root):
    (pair,) = pairs_of(root)
    return pair


def test_every_number_equals_one_recomputed_from_the_parquet(base, arm):
    folder = arm("vcore", "grpo")
    comparison = written(base)
    (found,) = comparison["arms"]
    assert (found["init"], found["rl"], found["seeds"]) == ("vcore", "grpo", [0])
    for dataset in ("in_domain", "out_of_domain"):
        figures = found["datasets"][dataset]
        places = {
            "base": base / "base" / "eval",
            "pre": folder.parent / "eval",
            "post": folder / "eval",
        }
        means = {}
        for stage, place in places.items():
            rows = frame(place, dataset)
            means[stage] = rows.groupby("prompt_id").score.mean()
            interval = mean_interval(means[stage])
            assert figures[stage]["mean"] == pytest.approx(rows.score.mean())
            assert figures[stage]["ci95"] == pytest.approx([interval.low, interval.high])
            assert figures[stage]["mean_tokens"] == pytest.approx(rows.num_tokens.mean())
            assert figures[stage]["truncated_frac"] == pytest.approx((rows.finish_reason == "length").mean())
            assert figures[stage]["greedy"]["mean"] == pytest.approx(frame(place, dataset, "greedy").score.mean())
            assert figures[stage]["statuses"]["wrong"] == pytest.approx((rows.status == "wrong").mean())
            solved = rows.groupby("prompt_id").score.max().mean()
            assert figures[stage]["pass_at_k"]["4"]["mean"] == pytest.approx(solved)
        for name, before, after in (("sft_delta", "base", "pre"), ("delta", "pre", "post")):
            test, change = stats.ttest_rel(means[after], means[before]), figures[name]
            assert change["mean"] == pytest.approx(means[after].mean() - means[before].mean())
            assert change["ci95"] == pytest.approx(list(test.confidence_interval(0.95)))
            assert change["p"] == pytest.approx(test.pvalue)


def test_seeds_are_averaged_by_prompt_and_their_spread_is_kept_apart(base, arm):
    folders = [arm("vcore", "grpo", pre=0.4 + 0.01 * seed, post=0.7 + 0.05 * seed, seed=seed) for seed in range(3)]
    figures = written(base)["arms"][0]["datasets"]["in_domain"]
    gains = [
        frame(folder / "eval", "in_domain").score.mean() - frame(folder.parent / "eval", "in_domain").score.mean()
        for folder in folders
    ]
    assert figures["delta"]["by_run"] == pytest.approx(gains)
    assert figures["delta"]["mean"] == pytest.approx(np.mean(gains))
    assert figures["delta"]["standard_deviation_over_runs"] == pytest.approx(np.std(gains, ddof=1))


def test_initialisers_are_compared_with_sft_and_corrected(base, arm):
    folders = {init: arm(init, "grpo", post=post) for init, post in (("dft", 0.6), ("sft", 0.5), ("vcore", 0.9))}
    pairs = pairs_of(base)
    assert [(pair["init"], pair["reference"]) for pair in pairs] == [("dft", "sft"), ("vcore", "sft")]
    means = {i: frame(f / "eval", "in_domain").groupby("prompt_id").score.mean() for i, f in folders.items()}
    raw = [stats.ttest_rel(means[init], means["sft"]).pvalue for init in ("dft", "vcore")]
    assert [pair["p"] for pair in pairs] == pytest.approx(raw)
    smallest, largest = sorted(range(2), key=lambda index: raw[index])
    assert pairs[smallest]["p_holm"] == pytest.approx(2 * raw[smallest])
    assert pairs[largest]["p_holm"] == pytest.approx(max(raw[largest], 2 * raw[smallest]))


@pytest.mark.parametrize("seeds", [1, 3])
def test_greedy_answers_are_compared_too(base, arm, seeds):
    posts = {"sft": (0.5, 0.53, 0.48), "dft": (0.6, 0.7, 0.64)}
    folders = {
        init: [arm(init, "grpo", post=post, seed=seed) for seed, post in enumerate(values[:seeds])]
        for init, values in posts.items()
    }
    (pair,) = pairs_of(base, decoding="greedy")
    dft, sft = (
        np.array([frame(folder / "eval", "in_domain", "greedy").score for folder in folders[init]])
        for init in ("dft", "sft")
    )
    means = (dft.mean(axis=1), sft.mean(axis=1))
    test = stats.ttest_ind(*means, equal_var=False) if seeds > 1 else stats.ttest_rel(dft[0], sft[0])
    assert pair["mean"] == pytest.approx(dft.mean() - sft.mean())
    figure = pair["over_runs"] if seeds > 1 else pair
    assert figure["ci95"] == pytest.approx(list(test.confidence_interval(0.95)))


def test_stages_that_did_not_happen_are_null(base, arm):
    arm("sft", "none")
    arm("none", "grpo")
    by_init = {found["init"]: found["datasets"]["in_domain"] for found in written(base)["arms"]}
    assert by_init["sft"]["post"] is None and by_init["sft"]["delta"] is None
    assert by_init["none"]["sft_delta"] is None
    assert by_init["none"]["pre"]["mean"] == by_init["none"]["base"]["mean"]
    assert by_init["none"]["delta"]["mean"] > 0


def test_another_initialiser_than_sft_can_be_the_reference(base, arm):
    for init, rl in (("sft", "grpo"), ("dft", "grpo"), ("vcore", "grpo"), ("vcore", "dapo"), ("sft", "dapo")):
        arm(init, rl)
    write_report(base, against="dft")
    found = json.loads((base / "report" / "comparison.json").read_text())["pairwise"]
    compared = {(pair["stage"], pair["rl"], pair["init"], pair["reference"]) for pair in found}
    assert compared == {
        ("rl", "grpo", "sft", "dft"),
        ("rl", "grpo", "vcore", "dft"),
        ("rl", "dapo", "vcore", "sft"),
        ("sft", "none", "sft", "dft"),
        ("sft", "none", "vcore", "dft"),
    }


def test_a_reference_that_was_not_run_is_an_error_that_names_those_that_were(base, arm):
    arm("vcore", "grpo")
    arm("sft", "none")
    with pytest.raises(ReportError, match=r"no run below .* starts from dft; there are vcore, sft"):
        write_report(base, against="dft")


def test_algorithms_are_not_mixed(base, arm):
    arm("vcore", "dapo")
    arm("sft", "grpo")
    assert pairs_of(base) == []
    assert len(pairs_of(base, stage="sft")) == 1


def test_over_runs_initialisers_are_compared_by_welch_and_corrected(base, arm):
    posts = {"sft": (0.5, 0.53, 0.48), "dft": (0.6, 0.66, 0.58), "vcore": (0.9, 0.91, 0.88)}
    folders = {
        init: [arm(init, "grpo", post=post, seed=seed) for seed, post in enumerate(values)]
        for init, values in posts.items()
    }
    pairs = pairs_of(base)
    means = {
        init: [frame(folder / "eval", "in_domain").score.mean() for folder in seeds] for init, seeds in folders.items()
    }
    tests = [stats.ttest_ind(means[init], means["sft"], equal_var=False) for init in ("dft", "vcore")]
    for pair, test in zip(pairs, tests, strict=True):
        assert pair["over_runs"]["p"] == pytest.approx(test.pvalue)
        assert pair["over_runs"]["ci95"] == pytest.approx(list(test.confidence_interval(0.95)))
    raw = sorted(test.pvalue for test in tests)
    adjusted = sorted(pair["over_runs"]["p_holm"] for pair in pairs)
    assert adjusted == pytest.approx([2 * raw[0], max(raw[1], 2 * raw[0])])


@pytest.mark.parametrize(
    ("sft_runs", "vcore_runs", "significant"), [(1, 1, False), (2, 2, False), (3, 2, False), (3, 3, True)]
)
def test_methods_differ_significantly_only_with_three_training_runs_on_each_side(
    base, arm, sft_runs, vcore_runs, significant
):
    posts = {"sft": (0.3, 0.31, 0.29)[:sft_runs], "vcore": (0.9, 0.91, 0.92)[:vcore_runs]}
    for init, values in posts.items():
        for seed, post in enumerate(values):
            arm(init, "grpo", post=post, seed=seed)
    pair = in_domain_pair(base)
    assert pair["p_holm"] < 1e-6
    assert pair["num_runs"] == min(sft_runs, vcore_runs)
    assert pair["significant"] is significant


def test_three_runs_whose_interval_contains_zero_after_holm_do_not_differ_significantly(base, arm):
    posts = {"sft": (0.5, 0.52, 0.48), "vcore": (0.62, 0.66, 0.57), "dft": (0.5, 0.6, 0.4), "random": (0.5, 0.4, 0.6)}
    for init, values in posts.items():
        for seed, post in enumerate(values):
            arm(init, "grpo", post=post, seed=seed)
    pairs = pairs_of(base)
    (vcore,) = [pair for pair in pairs if pair["init"] == "vcore"]
    assert vcore["p_holm"] < 0.05 and vcore["over_runs"]["p"] < 0.05 < vcore["over_runs"]["p_holm"]
    assert not vcore["significant"]


@pytest.mark.parametrize(("num_runs", "significant"), [(1, False), (2, False), (3, True)])
def test_what_rl_changes_in_the_only_arm_is_significant_only_with_three_training_runs(base, arm, num_runs, significant):
    for seed in range(num_runs):
        arm("vcore", "grpo", pre=0.4 + 0.01 * seed, post=0.9 + 0.011 * seed, seed=seed)
    datasets = written(base)["arms"][0]["datasets"]
    change = datasets["in_domain"]["delta"]
    assert change["p_holm"] < 0.001
    assert change["significant"] is significant
    others = [
        datasets["in_domain"]["sft_delta"],
        datasets["in_domain"]["delta"]["greedy"],
        datasets["out_of_domain"]["delta"],
    ]
    assert not any(other["significant"] for other in others)


def test_what_rl_changes_is_no_finding_beside_other_arms(base, arm):
    for seed in range(3):
        for init in ("sft", "vcore"):
            arm(init, "grpo", pre=0.4 + 0.01 * seed, post=0.9 + 0.011 * seed, seed=seed)
    change = written(base)["arms"][0]["datasets"]["in_domain"]["delta"]
    assert change["over_runs"]["p_holm"] < 0.05 and not change["significant"]


def named_primary(folder, *overrides):
    save(load("tiny", ["hardware.device=cpu", *overrides]), folder / "recipe.yaml")


def test_only_the_primary_measure_of_the_recipes_has_findings(base, arm):
    for init, values in {"sft": (0.3, 0.31, 0.29), "vcore": (0.9, 0.91, 0.92)}.items():
        for seed, post in enumerate(values):
            folder = arm(init, "grpo", post=post, seed=seed)
            named_primary(folder, "comparison.primary.dataset=out_of_domain", "comparison.primary.decoding=greedy")
    found = written(base)
    assert found["primary"] == {"dataset": "out_of_domain", "stage": "rl", "decoding": "greedy"}
    findings = {(pair["dataset"], pair["stage"], pair["decoding"]) for pair in found["pairwise"] if pair["significant"]}
    assert findings == {("out_of_domain", "rl", "greedy")}
    (secondary,) = [pair for pair in pairs_of(base)]
    assert secondary["over_runs"]["p_holm"] < 0.05
    assert found["trained_differently"] == []


def test_the_measure_that_most_runs_name_is_primary_and_the_others_are_counted(base, arm):
    for seed, dataset in enumerate(("out_of_domain", "out_of_domain", "in_domain")):
        named_primary(arm("sft", "grpo", seed=seed), f"comparison.primary.dataset={dataset}", f"seed={seed}")
    found = written(base)
    assert found["primary"]["dataset"] == "out_of_domain"
    assert (
        "1 of 3 runs name another primary measure (comparison.primary), which is not used"
        in found["trained_differently"]
    )


def test_the_primary_family_spans_the_algorithms(base, arm):
    for rl in ("grpo", "dapo"):
        for init, values in {"sft": (0.5, 0.53, 0.48), "dft": (0.6, 0.66, 0.58), "vcore": (0.7, 0.71, 0.68)}.items():
            for seed, post in enumerate(values):
                arm(init, rl, post=post, seed=seed)
    found = [pair["over_runs"] for pair in pairs_of(base)]
    assert len(found) == 4
    smallest = min(found, key=lambda item: item["p"])
    assert smallest["p_holm"] == pytest.approx(4 * smallest["p"])


def test_after_sft_every_run_counts_once_whatever_rl_follows(base, arm):
    for seed in range(3):
        for init, pre in (("sft", 0.3), ("vcore", 0.6)):
            for rl in ("grpo", "dapo"):
                arm(init, rl, pre=pre + 0.02 * seed, seed=seed)
    (pair,) = pairs_of(base, stage="sft")
    assert (pair["rl"], pair["num_runs"]) == ("none", 3)
    values = [
        [frame(base / init / f"seed{seed}" / "eval", "in_domain").score.mean() for seed in range(3)]
        for init in ("vcore", "sft")
    ]
    test = stats.ttest_ind(*values, equal_var=False)
    assert pair["over_runs"]["ci95"] == pytest.approx(list(test.confidence_interval(0.95)))


def test_a_primary_measure_that_was_not_evaluated_is_an_error(base, arm):
    folder = arm("vcore", "grpo")
    named_primary(
        folder, "evaluation.datasets=[aime]", "comparison.primary.dataset=aime", "data.mirror=builtin:samples"
    )
    with pytest.raises(
        ReportError, match=r"comparison.primary.dataset=aime was not evaluated; in_domain, out_of_domain"
    ):
        write_report(base)


def test_runs_that_all_score_the_same_are_no_finding(base, arm):
    for seed in range(3):
        arm("sft", "grpo", post=0.0, seed=seed)
        arm("vcore", "grpo", post=1.0, seed=seed)
    pair = in_domain_pair(base)
    assert (pair["over_runs"], pair["p"], pair["significant"]) == (None, None, False)
    assert 0.85 < pair["ci95"][0] < 1.0 == pair["ci95"][1]


def test_over_runs_what_rl_changed_is_corrected_over_the_arms_that_have_several(base, arm):
    for seed, post in enumerate((0.6, 0.7, 0.64)):
        arm("sft", "grpo", post=post, seed=seed)
        arm("vcore", "grpo", post=post + 0.2, seed=seed)
    arm("dft", "grpo")
    sft, dft, vcore = (found["datasets"]["in_domain"]["delta"] for found in written(base)["arms"])
    assert dft["over_runs"] is None
    raw = sorted(stats.ttest_1samp(delta["by_run"], 0.0).pvalue for delta in (sft, vcore))
    adjusted = sorted(delta["over_runs"]["p_holm"] for delta in (sft, vcore))
    assert adjusted == pytest.approx([2 * raw[0], max(raw[1], 2 * raw[0])])


def test_a_difference_that_other_training_runs_need_not_show_is_not_significant(base, arm):
    for seed, (sft, vcore) in enumerate([(0.5, 0.95), (0.51, 0.5), (0.49, 0.75)]):
        arm("sft", "grpo", post=sft, seed=seed)
        arm("vcore", "grpo", post=vcore, seed=seed)
    pair = in_domain_pair(base)
    assert pair["p_holm"] < 0.001
    assert pair["over_runs"]["p_holm"] > 0.05
    assert not pair["significant"]


def test_what_rl_changed_is_corrected_over_the_arms(base, arm):
    for init, post in (("sft", 0.45), ("vcore", 0.5), ("dft", 0.42)):
        arm(init, "grpo", pre=0.4, post=post)
    deltas = [found["datasets"]["in_domain"]["delta"] for found in written(base)["arms"]]
    raw = sorted(delta["p"] for delta in deltas)
    expected = np.maximum.accumulate([3 * raw[0], 2 * raw[1], raw[2]]).clip(max=1)
    assert sorted(delta["p_holm"] for delta in deltas) == pytest.approx(expected)


def test_a_stage_over_several_seeds_has_a_t_interval_over_them(base, arm):
    folders = [arm("vcore", "grpo", pre=0.4, post=0.7 + 0.05 * seed, seed=seed) for seed in range(3)]
    delta = written(base)["arms"][0]["datasets"]["in_domain"]["delta"]
    test = stats.ttest_1samp(delta["by_run"], 0.0)
    assert len(delta["by_run"]) == len(folders)
    assert delta["over_runs"]["ci95"] == pytest.approx(list(test.confidence_interval(0.95)))
