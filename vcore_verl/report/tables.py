"""The tables of a report as text cells, for all output formats. Accuracies are in percent, differences in points."""

from collections import Counter
from collections.abc import Iterator, Sequence

from vcore_verl.evaluation.grading import OTHER_GRADERS
from vcore_verl.evaluation.statistics import standard_deviation
from vcore_verl.report.measures import Measure
from vcore_verl.report.numbers import MIN_RUNS, Accuracy, Arm, Change, Comparison, Difference, Pair, StageNumbers
from vcore_verl.report.table import Table
from vcore_verl.report.transitions import Transition
from vcore_verl.report.wording import RULE, accuracy, interval, over, p_value, percent, points, signed_interval


def main_table(comparison: Comparison, dataset: str) -> Table:
    """The main table of a data set: a single arm stage by stage, or one line per arm."""
    return arms_table(comparison, dataset) if len(comparison.arms) > 1 else one_arm_table(comparison, dataset)


def one_arm_table(comparison: Comparison, dataset: str) -> Table:
    lines, decoding = [], comparison.primary.decoding
    for label, numbers, changes in _stages(comparison, dataset):
        change = changes.get(decoding)
        shown = [_with_interval(change), p_value(_deciding_p(change))] if change else ["", ""]
        responses = [f"{numbers.mean_tokens:.0f}", percent(numbers.truncated)]
        estimate = numbers.accuracy[decoding].estimate
        lines.append([label, f"{accuracy(numbers, decoding)} {interval(estimate)}", *shown, *responses])
    header = ("model", "accuracy (%) over prompts", f"change (points) {over(comparison)}", "p")
    return Table((*header, "tokens", "truncated"), lines)


def _deciding_p(change: Change) -> float | None:
    return change.over_runs_p_holm if change.over_runs else change.p_holm


def arms_table(comparison: Comparison, dataset: str) -> Table:
    references = {pair.reference for pair in comparison.pairwise}
    header = ["arm", "before RL", "after RL", f"by RL {over(comparison)}"]
    if references:
        reference = references.pop() if len(references) == 1 else "reference"
        header.append(f"against {reference} after {comparison.primary.stage.upper()} {over(comparison)}")
    original = ["Original", accuracy(comparison.base[dataset], comparison.primary.decoding)]
    rows = [("", original + [""] * (len(header) - 2))]
    rows += [(arm.rl, _arm_cells(comparison, arm, dataset)[: len(header)]) for arm in comparison.arms]
    groups = [number for number, (rl, _) in enumerate(rows) if number and rl != rows[number - 1][0]]
    return Table(header, [cells for _, cells in rows], groups=groups)


def _arm_cells(comparison: Comparison, arm: Arm, dataset: str) -> list[str]:
    numbers, (_, stage, decoding) = arm.datasets[dataset], vars(comparison.primary).values()
    rl = arm.rl if stage == "rl" else "none"
    same = (
        pair for pair in comparison.pairs(Measure(dataset, stage, decoding)) if (pair.rl, pair.init) == (rl, arm.init)
    )
    pair = next(same, None)  # the reference has none
    change = numbers.rl_changes.get(decoding)
    return [
        arm.name + (f" x{len(arm.seeds)}" if len(arm.seeds) > 1 else ""),
        accuracy(numbers.pre, decoding),
        accuracy(numbers.post, decoding),
        _with_interval(change) if change else "",
        f"{_with_interval(pair)}{_mark(pair)}" if pair else "",
    ]


def _mark(pair: Pair) -> str:
    if pair.significant:
        return " *"
    return " (*)" if pair.below_level else ""


def _with_interval(difference: Difference) -> str:
    return f"{points(difference.over_prompts)} {signed_interval(difference.shown)}"


def _stages(comparison: Comparison, dataset: str) -> Iterator[tuple[str, StageNumbers, dict[str, Change]]]:
    """Original, then every arm after SFT and after RL, with the changes from the previous stage by decoding."""
    yield "Original", comparison.base[dataset], {}
    for arm in comparison.arms:
        numbers = arm.datasets[dataset]
        seeds = f", {len(arm.seeds)} seeds" if len(arm.seeds) > 1 else ""
        if arm.init != "none":
            yield f"after SFT ({arm.init}{seeds})", numbers.pre, numbers.sft_changes
        if numbers.post:
            trained = arm.rl if arm.init == "none" or len(comparison.arms) == 1 else f"{arm.init}, {arm.rl}"
            yield (
                f"after RL{' only' if arm.init == 'none' else ''} ({trained}{seeds})",
                numbers.post,
                numbers.rl_changes,
            )


_TESTS = ("over prompts", "p (Holm)", "over runs", "over runs (Holm)", "p (Holm)")


def _tests(difference: Difference) -> list[str]:
    """Intervals and p over prompts and over runs, under the header `_TESTS`."""
    over_prompts = [signed_interval(difference.over_prompts), p_value(difference.p_holm)]
    if difference.over_runs is None or difference.decisive is None:
        return [*over_prompts, "", "", ""]
    over_runs = [signed_interval(difference.over_runs.interval()), signed_interval(difference.decisive)]
    return [*over_prompts, *over_runs, p_value(difference.over_runs_p_holm)]


_PAIRS_NOTE = (
    "Difference in accuracy, in points. Over prompts: paired t interval and test, which describe these checkpoints."
    " Over runs: Welch's interval over training runs, which describes the methods; with Holm's correction it excludes"
    " zero exactly where p is below 0.05."
)


def primary_table(comparison: Comparison) -> Table:
    """Every SFT objective compared with the reference by the primary measure."""
    lines = [
        [pair.rl, f"{pair.init} - {pair.reference}", points(pair.over_prompts), *_tests(pair), _significant(pair)]
        for pair in comparison.pairs(comparison.primary)
    ]
    note = (
        f"Primary measure: {comparison.primary.label}. {_PAIRS_NOTE} p with Holm's correction over this table, the"
        f" primary family. {RULE}."
    )
    return Table(("RL", "arms", "difference", *_TESTS, "significant"), lines, note)


def _significant(pair: Pair) -> str:
    if pair.num_runs < MIN_RUNS:
        return "too few runs"
    return "yes" if pair.significant else "no"


def secondary_table(comparison: Comparison) -> Table:
    """The same comparisons by the secondary measures, one family each."""
    lines = [
        [
            pair.measure.dataset,
            pair.measure.stage.upper(),
            pair.measure.decoding,
            *("" if pair.rl == "none" else pair.rl, f"{pair.init} - {pair.reference}"),
            *(points(pair.over_prompts), *_tests(pair)),
        ]
        for pair in comparison.pairwise
        if not pair.primary
    ]
    note = (
        f"{_PAIRS_NOTE} p with Holm's correction over one data set, stage and decoding, a secondary family each: a p"
        " below 0.05 here is a lead to follow, no finding."
    )
    return Table(("data set", "after", "decoding", "RL", "arms", "difference", *_TESTS), lines, note)


def stages_table(comparison: Comparison) -> Table:
    """Every stage of every arm, with accuracy by run and all tests of its change."""
    lines = []
    for dataset in comparison.datasets:
        for label, numbers, changes in _stages(comparison, dataset):
            for decoding, found in numbers.accuracy.items():
                shown = f"{accuracy(numbers, decoding)} {interval(found.estimate)}"
                change = changes.get(decoding)
                changed = [points(change.over_prompts), *_tests(change)] if change else [""] * (1 + len(_TESTS))
                lines.append([dataset, label, decoding, shown, _by_run(found), *changed])
    note = (
        "Accuracy in percent with its 95 % interval over prompts (Wilson's); by run: that of each, in order of the"
        " seeds, ± their standard deviation. Change: in points, against the stage before of the same arm (after RL"
        " only: against Original), with a paired t interval and test over prompts, which describe these checkpoints and"
        " t intervals over training runs, which describe the method. p with Holm's correction over the arms of one data"
        " set, stage and decoding, a secondary family each where there are several arms."
    )
    return Table(("data set", "model", "decoding", "accuracy", "by run", "change", *_TESTS), lines, note)


def _by_run(found: Accuracy) -> str:
    """Accuracies ± standard deviation in percent; empty for one run."""
    deviation = standard_deviation(found.by_run)
    if deviation is None:
        return ""
    return f"{', '.join(f'{100 * run:.1f}' for run in found.by_run)} ± {100 * deviation:.1f}"


def responses_table(comparison: Comparison) -> Table:
    """Length and status of the responses at every stage."""
    stages = [(name, *stage[:2]) for name in comparison.datasets for stage in _stages(comparison, name)]
    lines = []
    for name, label, numbers in stages:
        shares = map(percent, [*numbers.statuses.values(), numbers.truncated])
        lines.append([name, label, *shares, f"{numbers.mean_tokens:.0f}"])
    statuses = [status.replace("_", " ") for status in stages[0][2].statuses]
    note = (
        "Shares of the samples, and their mean number of tokens. A truncated response is graded by what it answered"
        " before the limit."
    )
    return Table(("data set", "model", *statuses, "truncated", "tokens"), lines, note)


def graders_table(comparison: Comparison) -> Table:
    """Accuracy by graders other than the reward, for comparison with published numbers."""
    lines = []
    for name in comparison.datasets:
        for label, numbers, _ in _stages(comparison, name):
            for decoding, own in numbers.accuracy.items() if numbers.others else ():
                found = [own, *(numbers.others[grader, decoding] for grader in OTHER_GRADERS)]
                cells = [f"{100 * item.estimate.mean:.1f} {interval(item.estimate)}" for item in found]
                lines.append([name, label, decoding, *cells])
    graders = "; ".join(f"{name}: {what}" for name, what in OTHER_GRADERS.items())
    note = (
        "Accuracy in percent with 95 % intervals over prompts, of the same responses. Everything else in this report is"
        f" by the reward's own judgement. {graders[0].upper()}{graders[1:]}. The paper's tables: greedy, box_anywhere."
    )
    return Table(("data set", "model", "decoding", "reward", *OTHER_GRADERS), lines, note)


def budget_table(comparison: Comparison) -> Table:
    """Accuracy over the steps of RL if all arms were tested, else mean reward; no lines without RL."""
    trained = [arm for arm in comparison.arms if arm.reward]
    if trained and all(arm.accuracy_by_step for arm in trained):
        return _accuracy_by_step(comparison, trained)
    note = (
        "Mean reward of the responses that RL trains on, over the runs of an arm, in five parts of its steps. It stands"
        " for the curve of accuracy against steps, which was not measured (rl.test_every), and is of training prompts."
        " Where it still rises, more steps may change the ranking."
    )
    lines, parts = _over_steps({arm.name: arm.reward for arm in trained}, ".3f")
    return Table(("arm", *(f"steps {part}" for part in parts)), lines, note)


def _accuracy_by_step(comparison: Comparison, trained: Sequence[Arm]) -> Table:
    dataset = comparison.primary.dataset
    values = {
        arm.name: {"0": 100 * arm.datasets[dataset].pre.sampled.estimate.mean}
        | {step: 100 * value for step, value in arm.accuracy_by_step.items()}
        for arm in trained
    }
    lines, steps = _over_steps(values, ".1f")
    note = (
        f"Accuracy in percent on {dataset} at steps of RL, the mean over the runs of an arm: one sample per prompt, at"
        " most rl.max_response_tokens long; at step 0 the evaluation before RL. Where it still rises, more steps may"
        " change the ranking."
    )
    return Table(("arm", *(f"step {step}" for step in steps)), lines, note)


def _over_steps(values: dict[str, dict[str, float]], form: str) -> tuple[list[list[str]], list[str]]:
    """A line per arm, and the steps. The steps are those of most arms; arms with other steps are left out."""
    most = Counter(map(tuple, values.values())).most_common(1)
    steps = list(most[0][0]) if most else []
    lines = [[arm, *(f"{of[step]:{form}}" for step in steps)] for arm, of in values.items() if list(of) == steps]
    return lines, steps


def changes_table(recipe_name: str, found: Sequence[Transition]) -> Table:
    """2x2 counts of prompts solved before and after training, with the ids of some that changed."""
    lines = [
        [
            f"{item.arm}, seed {item.seed}",
            item.dataset,
            str(item.both),
            str(item.neither),
            _count_and_ids(item.gained, item.gained_examples),
            _count_and_ids(item.lost, item.lost_examples),
        ]
        for item in found
    ]
    note = (
        "Prompts solved before and after RL, or SFT in arms without RL; solved: at least half of the samples are"
        f" correct. `python -m vcore_verl view runs/{recipe_name} --prompt ID` shows one."
    )
    return Table(("arm", "data set", "both times", "neither time", "gained", "lost"), lines, note)


def _count_and_ids(count: int, ids: Sequence[str]) -> str:
    return f"{count}: {' '.join(ids)}" if ids else str(count)


def cost_table(comparison: Comparison) -> Table:
    """Training time of every arm; no lines if none was recorded."""
    lines = []
    for arm in comparison.arms if comparison.device_hours else ():
        cost = arm.provenance
        minutes = (f"{cost.sft_seconds / 60:.1f}", f"{cost.rl_seconds / 60:.1f}")
        lines.append((arm.name, *minutes, f"{cost.ranks} ({cost.device})", f"{cost.device_hours:.2f}"))
    note = (
        "Training of one run, the mean over its seeds; device hours are wall-clock hours times ranks. All runs"
        f" together, SFT that several start from counted once: {comparison.device_hours:.2f} device hours."
    )
    return Table(("arm", "SFT minutes", "RL minutes", "ranks", "device hours"), lines, note)
