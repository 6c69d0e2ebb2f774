"""Settings of all tests."""

from typing import Any

import pytest
from hypothesis import settings

# A property's first example pays for imports and a loaded machine stretches all of them: time says nothing here.
settings.register_profile("vcore_verl", deadline=None)
settings.load_profile("vcore_verl")

SHARE_NOTHING = "tests/e2e/test_every_recipe.py"  # one test a recipe, each minutes long


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file on one worker, as `--dist loadfile` does, except those that share nothing."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith(SHARE_NOTHING) else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
