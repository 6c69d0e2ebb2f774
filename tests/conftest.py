"""Settings of all tests."""

from typing import Any

import pytest
from hypothesis import settings

# A property's first example pays for imports and a loaded machine stretches all of them: time says nothing here.
settings.register_profile("vcore_verl", deadline=None)
settings.load_profile("vcore_verl")

# Tests that take minutes and share no fixture are distributed one by one.
SHARE_NOTHING = ("tests/e2e/test_every_recipe.py", "tests/sft/test_trainer.py")
# Files that share a fixture that takes minutes run on one worker.
TOGETHER = {
    **dict.fromkeys(("sft/test_loss", "sft/test_stock", "sft/test_old_policy", "sft/probe/test_probe"), "laboratory"),
    **dict.fromkeys(("e2e/test_tiny", "e2e/test_rl"), "tiny_base"),
}


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file on one worker, as `--dist loadfile` does, but for `SHARE_NOTHING` and `TOGETHER`."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(SHARE_NOTHING):
                return nodeid
            file = super()._split_scope(nodeid)
            return TOGETHER.get(file.removeprefix("tests/").removesuffix(".py"), file)

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
