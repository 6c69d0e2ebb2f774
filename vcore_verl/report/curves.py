"""Training curves: `metrics.jsonl` of every run as series over steps."""

from dataclasses import dataclass

from vcore_verl.report.collect import TrainedRun
from vcore_verl.runs.metrics_file import read


@dataclass(frozen=True)
class Panel:
    """One quantity: where it is logged and what it is called."""

    stage: str
    key: str
    title: str


# The uniform loss, not the weighted one: it alone means the same for every objective.
PANELS = (
    Panel("sft", "train/plain_loss", "SFT: mean token loss (nats)"),
    Panel("rl", "critic/score/mean", "RL: mean reward"),
    Panel("rl", "actor/entropy", "RL: policy entropy (nats)"),
    Panel("rl", "response_length/mean", "RL: response length (tokens)"),
    Panel("rl", "actor/kl_loss", "RL: KL to the start (nats)"),
)


def curve(run: TrainedRun, panel: Panel) -> dict[int, float] | None:
    """Step -> value; None where the run has no such stage or did not log the quantity."""
    if panel.stage not in run.homes:
        return None
    lines = read(run.homes[panel.stage] / panel.stage / "metrics.jsonl")
    return {int(line["step"]): line[panel.key] for line in lines if panel.key in line} or None
