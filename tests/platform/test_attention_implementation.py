import importlib.machinery

import pytest

from vcore_verl import platform


@pytest.mark.parametrize(
    ("device", "installed", "chosen"),
    [("cpu", True, "sdpa"), ("nvidia", False, "sdpa"), ("nvidia", True, "flash_attention_2")],
)
def test_flash_attention_is_used_where_a_gpu_run_has_it(monkeypatch, device, installed, chosen):
    monkeypatch.setenv("VERL_PLATFORM", device)
    found = importlib.machinery.ModuleSpec("flash_attn", None) if installed else None
    monkeypatch.setattr(platform, "find_spec", lambda name: found)
    assert platform.attention_implementation() == chosen
