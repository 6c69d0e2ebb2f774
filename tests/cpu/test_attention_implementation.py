import sys

import pytest

from vcore_verl import cpu


@pytest.mark.parametrize(
    ("device", "installed", "chosen"),
    [
        ("cpu", "flash_attn", "sdpa"),
        ("cuda", None, "sdpa"),
        ("cuda", "flash_attn", "flash_attention_2"),
        ("cuda", "flash_attn_4", "sdpa"),
    ],
)
def test_flash_attention_is_used_where_a_gpu_run_has_it(monkeypatch, tmp_path, device, installed, chosen):
    if installed:
        (tmp_path / "flash_attn" / "cute").mkdir(parents=True)  # the module's name is the same for both
        record = tmp_path / f"{installed}-2.8.3.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {installed}\nVersion: 2.8.3\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert cpu.attention_implementation(device) == chosen
