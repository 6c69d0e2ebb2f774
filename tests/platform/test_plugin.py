import os
import subprocess
import sys

import pytest

from vcore_verl.platform import cpu_environment
from vcore_verl.recipe import ROOT

SAY_PLATFORM = """
import verl, importlib.metadata
from verl.plugin.platform import get_platform
print(type(get_platform()).__name__, importlib.metadata.version("vllm"))
"""

IN_A_RAY_WORKER = """
import ray

ray.init(num_cpus=1, num_gpus=1, include_dashboard=False, _temp_dir="{temp}")

@ray.remote
def platform():
    import verl
    from verl.plugin.platform import get_platform
    return type(get_platform()).__name__

print(ray.get(platform.remote()))
ray.shutdown()
"""


def python(code: str, env: dict[str, str]) -> subprocess.CompletedProcess:
    inherited = {key: value for key, value in os.environ.items() if key != "VERL_PLATFORM"}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | env, cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_the_plugin_is_loaded_when_the_launcher_chose_the_cpu():
    assert python(SAY_PLATFORM, cpu_environment()).stdout.split() == ["PlatformCPU", "0.27.1+cpu"]


def test_the_plugin_stays_out_of_the_way_when_not_asked_for():
    code = "import verl, sys; print([m for m in sys.modules if m.startswith('vcore_verl.platform.')])"
    assert python(code, {}).stdout.strip() == "['vcore_verl.platform.plugin']"


@pytest.mark.slow
def test_the_plugin_is_loaded_in_a_ray_worker(tmp_path_factory):
    temp = tmp_path_factory.mktemp("ray")
    result = python(IN_A_RAY_WORKER.format(temp=temp), cpu_environment())
    assert result.stdout.split()[-1:] == ["PlatformCPU"], result.stderr[-2000:]


def test_another_version_of_a_patched_library_is_refused_by_name():
    code = "from vcore_verl.platform import patches\npatches.VERSIONS['verl'] = '0.8.0'\npatches.require_versions()"
    result = python(code, {})
    assert result.returncode == 1
    assert "written for verl 0.8.0 and found 0.9.1" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_refused_version_stops_verl_although_it_swallows_the_exceptions_of_plugins():
    code = "from vcore_verl.platform import patches\npatches.VERSIONS['verl'] = '0.8.0'\nimport verl\nprint('went on')"
    result = python(code, cpu_environment())
    assert result.returncode == 1
    assert "went on" not in result.stdout
