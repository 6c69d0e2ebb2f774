import pytest
import torch

from vcore_verl.cpu import log_probs as module
from vcore_verl.cpu.log_probs import log_probs

VOCABULARY = 11


def logits_and_labels(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(*shape, VOCABULARY, generator=generator)
    return logits.to(dtype), torch.randint(0, VOCABULARY, shape, generator=generator)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("shape", [(7,), (2, 3), (1,)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 4e-3)])
def test_values_and_gradients_are_log_softmaxs(monkeypatch, shape, dtype, tolerance, in_place):
    monkeypatch.setattr(module, "NUMBERS_AT_A_TIME", 3 * VOCABULARY)  # blocks of three tokens, and a shorter last one
    logits, labels = logits_and_labels(*shape, dtype=dtype)
    exact = logits.double().requires_grad_()
    expected = torch.log_softmax(exact, -1).gather(-1, labels[..., None])[..., 0]
    weights = torch.linspace(-1, 2, labels.numel()).reshape(shape)
    (expected_gradient,) = torch.autograd.grad(expected, exact, weights.double())

    leaf = logits.clone().requires_grad_()
    given = leaf * 1.0  # a result of the model, not its parameter
    found = log_probs(given, labels, inplace_backward=in_place)
    (gradient,) = torch.autograd.grad(found, leaf, weights)
    assert found.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=tolerance, atol=tolerance)
    assert torch.equal(given, logits) == (not in_place)


def test_autocast_does_not_round_them():
    logits, labels = logits_and_labels(5, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = log_probs(logits, labels)
    assert torch.equal(found, log_probs(logits, labels))
