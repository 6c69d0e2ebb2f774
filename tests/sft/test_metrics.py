import pytest
import torch

from vcore_verl.objectives import Tokens, Weighting
from vcore_verl.sft.metrics import batch_metrics, step_metrics

# Two sequences with weights, and one without supervised tokens.
TOKENS = Tokens(
    loss_T=torch.tensor([1.0, 2.0, 3.0, 4.0]),
    cu_seqlens_S1=torch.tensor([0, 2, 2, 4]),
    example_S=torch.arange(3),
    answer_T=torch.tensor([False, True, False, False]),
    utility_T=torch.tensor([1.0, -1.0, 3.0, 3.0]),
)
WEIGHTING = Weighting(torch.tensor([1.0, 0.0, 0.5, 0.5]), torch.tensor([1.0, 1.0, 0.5]))


def test_step_metrics_by_hand():
    metrics = step_metrics({"loss": 1.5} | batch_metrics(TOKENS, WEIGHTING))
    expected = {
        "train/loss": 1.5,
        "train/plain_loss": 2.5,
        "train/supervised_tokens": 4.0,
        "utility/mean": 1.5,
        "utility/rms": 5.0**0.5,
        "weights/kl": 0.6931471805599453 / 2,
        "weights/effective_tokens": 1.5,
        "weights/effective_share": 0.75,
        "weights/top1_share": 0.75,
        "weights/top10_share": 0.75,
        "weights/answer_weight": 0.0,
        "weights/answer_tokens": 0.25,
        "weights/alpha": 0.75,
        "weights/alpha_min": 0.5,
    }
    assert metrics == pytest.approx(expected)


def test_metrics_of_ranks_and_micro_batches_add_up():
    whole = batch_metrics(TOKENS, WEIGHTING)
    # Two ranks of two micro-batches each, as verl gathers them.
    gathered = {key: [[value, value], [value, value]] for key, value in whole.items()}
    metrics, single = step_metrics(gathered), step_metrics(whole)
    assert metrics.pop("train/supervised_tokens") == 4 * single.pop("train/supervised_tokens")
    assert metrics == pytest.approx(single)


def test_a_sequence_without_any_weight_is_finite():
    metrics = step_metrics(batch_metrics(TOKENS, Weighting(torch.zeros(4))))
    assert metrics["weights/effective_tokens"] == 0
    assert metrics["weights/kl"] == 0


def test_top_share_takes_the_heaviest_tokens_of_each_sequence():
    weights = torch.ones(40)
    weights[3], weights[25] = 5.0, 9.0
    tokens = Tokens(torch.ones(40), torch.tensor([0, 20, 40]), torch.arange(2), torch.zeros(40, dtype=torch.bool))
    metrics = step_metrics(batch_metrics(tokens, Weighting(weights)))
    assert metrics["weights/top1_share"] == pytest.approx((5 / 24 + 9 / 28) / 2)
    assert metrics["weights/top10_share"] == pytest.approx((6 / 24 + 10 / 28) / 2)
