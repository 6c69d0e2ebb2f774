from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_gpu_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan as it is without measurements of this machine's user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
