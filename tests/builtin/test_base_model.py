import pytest
import torch

from vcore_verl.builtin import base_model, tokenizer
from vcore_verl.builtin.tasks import TASKS
from vcore_verl.config.schema import Base
from vcore_verl.runs.metrics_file import read

SMALL = Base(
    layers=2, hidden_size=32, heads=2, kv_heads=1, intermediate_size=64, steps=30, batch_size=16, learning_rate=3e-3
)


def test_only_the_response_and_its_end_are_supervised():
    tokens = tokenizer.build()
    example = base_model.encode("1+2=?", "<think></think>\\boxed{3}", tokens)
    _, labels_BT = base_model.collate([example], tokens.pad_token_id)
    supervised = labels_BT[0][labels_BT[0] != base_model.IGNORED]
    assert tokens.decode(supervised) == "<think></think>\\boxed{3}<|im_end|>"


def test_splitting_a_batch_by_length_changes_neither_loss_nor_gradient():
    tokens = tokenizer.build()
    examples = [
        base_model.encode("1+2=?", "<think></think>\\boxed{3}", tokens),
        base_model.encode("10+2-3=?", "<think>10+2=12\n12-3=9\n</think>\\boxed{9}", tokens),
        base_model.encode("4+4=?", "<think>4+4=8\n</think>\\boxed{8}", tokens),
    ]
    models = [base_model.build_model(SMALL, tokens, seed=0) for _ in range(2)]
    losses = [
        base_model.set_gradient(model, examples, tokens.pad_token_id, splits)
        for model, splits in zip(models, (1, 3), strict=True)
    ]
    torch.testing.assert_close(losses[0], losses[1])
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("task", "share"), [("builtin:arithmetic", 0.85), ("builtin:laboratory", 0.95)])
def test_pretraining_lowers_the_loss_and_is_reproducible(task, share, tmp_path):
    losses = []
    for attempt in ("first", "second"):
        base_model.pretrain(TASKS[task], SMALL, seed=0, progress=tmp_path / attempt)
        losses.append([line["loss"] for line in read(tmp_path / attempt)])
    assert losses[0] == losses[1]
    assert losses[0][-1] < share * losses[0][0]
    assert read(tmp_path / "first")[-1]["step"] == SMALL.steps
