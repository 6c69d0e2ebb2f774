from typing import Any

import pytest

from vcore_verl.attention import kernels
from vcore_verl.sft.gpu_check import attention
from vcore_verl.sft.gpu_check.sizes import SIZES


def failed() -> set[str]:
    """The kinds of results that are wrong, of all cases."""
    found = attention.checks(SIZES["cpu"], "cpu")
    return {check.name.partition(": ")[2] for check in found if not check.passed}


GRADIENTS = {"gradient of queries", "gradient of keys", "gradient of values"}


def test_right_attention_passes():
    assert failed() == set()


def test_a_forward_kernel_that_is_wrong_in_anything_fails(monkeypatch: pytest.MonkeyPatch):
    forward = kernels.forward

    def flatter(query: Any, key: Any, value: Any, sequences: Any, scale: float, window: Any) -> Any:
        return forward(query, key, value, sequences, 0.9 * scale, window)

    monkeypatch.setattr(kernels, "forward", flatter)
    assert failed() == {"output", "forward mode", *GRADIENTS}


def test_a_backward_kernel_that_is_wrong_fails_in_gradients_and_forward_mode(monkeypatch: pytest.MonkeyPatch):
    backward = kernels.backward

    def flatter(*arguments: Any) -> Any:
        *others, scale, window = arguments
        return backward(*others, 0.9 * scale, window)

    monkeypatch.setattr(kernels, "backward", flatter)
    assert failed() == {"forward mode", *GRADIENTS}


def test_kernels_that_ignore_the_window_fail_in_the_case_with_one(monkeypatch: pytest.MonkeyPatch):
    for name in ("forward", "backward"):
        kernel = getattr(kernels, name)
        monkeypatch.setattr(kernels, name, lambda *arguments, kernel=kernel: kernel(*arguments[:-1], None))
    wrong = {check.name.partition(":")[0] for check in attention.checks(SIZES["cpu"], "cpu") if not check.passed}
    assert wrong == {"heads of 128, window of 16"}
