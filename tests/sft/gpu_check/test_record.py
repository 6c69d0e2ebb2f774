import json
import math
from pathlib import Path

import pytest

from vcore_verl.sft.gpu_check import record
from vcore_verl.sft.gpu_check.record import Check, Step
from vcore_verl.sft.gpu_check.sizes import SIZES


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def write(card: str, *checks: Check) -> Path:
    return record.write(card, {"torch": "2.11.0"}, checks, [Step(4096, None, 0.5, 2**30)], SIZES["cuda"])


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100-80GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
    ],
)
def test_a_cards_file_is_found_by_the_name_of_the_plan(card: str, name: str):
    write("NVIDIA L40")
    assert record.read(name) is None
    write(card)
    found = record.read(name)
    assert found is not None
    assert found["card"] == card
    assert found["steps"] == [{"tokens": 4096, "probe": None, "seconds": 0.5, "peak_bytes": 2**30}]
    assert record.read("L40S") is None


def test_a_later_check_of_a_card_replaces_the_earlier_one():
    assert write("NVIDIA H200", Check("attention", "output", 0.1, 0.01)) == write("NVIDIA H200")
    found = record.read("H200")
    assert found is not None
    assert found["checks"] == []


def test_what_is_not_a_number_keeps_no_limit_and_is_null_in_the_file():
    checks = [Check("utilities", "jvp", math.nan, limit, at_least) for limit, at_least in ((1, False), (0, True))]
    assert not any(check.passed for check in checks)
    text = write("NVIDIA H200", *checks).read_text()
    assert "NaN" not in text
    assert json.loads(text)["checks"][0]["found"] is None
