"""How far an arm's token weights are from uniform and from noise, from the logs of its SFT."""

from collections.abc import Sequence
from statistics import fmean

from vcore_verl.report.collect import TrainedRun
from vcore_verl.report.curves import curves
from vcore_verl.report.tables import Table

KL, EFFECTIVE, SIGNAL = "weights/kl", "weights/effective_share", "utility/signal_to_noise"
HALVES, ROUNDING = "probe/half_cosine", "probe/rounding_signal_to_noise"
UNIFORM = 0.005  # nats: 99 % effective tokens
ROUNDED = 1e-9  # nats: rounding of equal weights
NOISE = 1.0  # signal-to-noise ratio of the utilities below which most of them is noise


def weights(runs: Sequence[TrainedRun]) -> dict[str, float]:
    """Metric -> mean over the steps of SFT and the runs; empty if all weights were equal, or were not logged."""
    found = {key: curves(runs, "sft", key) for key in (KL, EFFECTIVE, HALVES, ROUNDING, SIGNAL)}
    means = {key: fmean(fmean(run.values()) for run in by_run) for key, by_run in found.items() if by_run}
    return means if means.get(KL, 0.0) > ROUNDED else {}


def weights_table(arms: dict[str, dict[str, float]]) -> Table:
    """A line per arm with unequal weights: its `weights`, and what follows from them."""
    lines = [
        [
            name,
            f"{found[KL]:.3f}",
            f"{100 * found[EFFECTIVE]:.1f} %",
            *(f"{found[key]:.2f}" if key in found else "" for key in (HALVES, ROUNDING, SIGNAL)),
            verdict(found),
        ]
        for name, found in arms.items()
        if found
    ]
    note = (
        "Means over the steps of SFT and the runs. KL from uniform in nats and effective tokens per sequence: weights"
        f" less than {UNIFORM} nats away train as uniform ones do. Halves: cosine of the gradients of the two halves of"
        " a probe batch; rounding: signal-to-noise ratio of a finite difference; signal: of the utilities, with both."
        f" Below {NOISE:g} most of a utility is noise. Only objectives with a probe have the last three."
    )
    return Table(("arm", "KL", "effective tokens", "halves", "rounding", "signal", "weights are"), lines, note)


def verdict(found: dict[str, float]) -> str:
    """In one word or two what the weights are: as good as uniform, mostly noise, or neither."""
    if found[KL] < UNIFORM:
        return "uniform"
    return "mostly noise" if found.get(SIGNAL, NOISE) < NOISE else "not uniform"
