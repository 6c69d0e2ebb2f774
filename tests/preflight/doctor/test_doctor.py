import http.server
import io
import socket
import threading

import pytest
from huggingface_hub import constants
from rich.console import Console

from vcore_verl.attention import NAME
from vcore_verl.config import versions
from vcore_verl.config.recipe import load
from vcore_verl.preflight.doctor import Finding, examine, machine, network, print_findings, software
from vcore_verl.runtime import hardware
from vcore_verl.sft.command import RENDEZVOUS_PORT

SMI = """\
NVIDIA A100-SXM4-80GB, 580.65.06, 81920, 3, 8.0
NVIDIA A100-SXM4-80GB, 580.65.06, 81920, 40510, 8.0
"""


def pinned(tmp_path, *lines: str, device: str = "cpu") -> list[Finding]:
    constraints = tmp_path / f"constraints-{device}.txt"
    constraints.write_text("# pins\n" + "\n".join(lines))
    return list(software.packages(constraints))


def test_an_old_python_says_which_to_use():
    assert software.python((3, 11)).level == "ok"
    found = software.python((3, 9))
    assert (found.level, found.found) == ("error", "3.9")
    assert "3.10 to 3.12" in found.advice


def test_versions_as_tested_are_fine(tmp_path):
    from importlib.metadata import version

    pin = version("torch").partition("+")[0]
    (found,) = pinned(tmp_path, f"torch=={pin}", 'not-on-this-python==1.0; python_version < "3.0"')
    assert (found.level, found.found) == ("ok", "as in constraints-cpu.txt (tested)")


def test_another_version_of_what_is_relied_on_blocks(tmp_path):
    (found,) = pinned(tmp_path, "rich==0.1", "torch==1.0")
    assert found.level == "error"
    assert found.found.startswith("torch ")
    assert "(tested: 1.0)" in found.found
    assert found.advice == 'pip install -c constraints-cpu.txt -e ".[cpu,dev]"'


def test_of_the_pins_for_a_gpu_it_is_said_what_was_tested_where(tmp_path):
    from importlib.metadata import version

    pin = version("torch").partition("+")[0]
    (same,) = pinned(tmp_path, f"torch=={pin}", device="gpu")
    (other,) = pinned(tmp_path, "torch==1.0", device="gpu")
    assert (same.level, same.found) == (
        "ok",
        "as in constraints-gpu.txt (tests of attention, objectives and SFT passed on a CPU with these versions)",
    )
    assert "(tested on a CPU: 1.0)" in other.found
    assert other.advice == 'pip install -c constraints-gpu.txt -e ".[gpu,dev]"'


def test_another_version_of_anything_else_is_a_warning(tmp_path):
    (found,) = pinned(tmp_path, "rich==0.1")
    assert found.level == "warning"


def test_the_packages_of_the_other_device_say_how_to_get_the_right_ones(tmp_path):
    assert software.package_set("cpu") is None
    found = software.package_set("gpu")
    assert found is not None
    assert found.found == "those for a CPU are installed"
    assert found.advice.startswith("VCORE_DEVICE=gpu bash scripts/sft_then_grpo.sh")


def test_what_is_not_installed_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(software, "NEEDED", ("no-such-package",))
    (found,) = pinned(tmp_path, "no-such-package==1.0")
    assert (found.level, found.found) == ("error", "missing: no-such-package")


def test_too_few_gpus_say_how_to_use_those_there_are(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    (found,) = machine.gpus(load("qwen3_4b", []), machine.parse(SMI))
    assert (found.level, found.found) == ("error", "2 of 8")
    assert "gpus=2" in found.advice


def test_a_gpu_that_others_use_is_named(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    card, driver, busy = machine.gpus(load("qwen3_4b", ["gpus=2"]), machine.parse(SMI))
    assert card.found == "2 x NVIDIA A100-SXM4-80GB, 80 GiB"
    assert driver.level == "ok"
    assert (busy.level, busy.found) == ("error", "GPU 1 in use, up to 40 GiB")
    assert "CUDA_VISIBLE_DEVICES" in busy.advice


def test_an_old_driver_says_which_is_needed():
    assert machine.driver("550.54.15").advice == "CUDA 13 needs 580 or newer: update NVIDIA's driver"


def test_a_full_disk_and_little_memory_block(tmp_path):
    assert machine.disk(1.0, tmp_path / "runs" / "not" / "there").level == "ok"
    found = machine.disk(1e18, tmp_path / "runs")
    assert found.level == "error"
    assert found.found.endswith(f"GB free in {tmp_path}, 1,000,000,000 needed for one run")
    assert found.advice.startswith("set output_dir=")
    assert machine.memory(2**50).level == "error"
    assert machine.memory(2**30, available=2**29).level == "warning"


def test_small_shared_memory_says_how_to_enlarge_it(tmp_path, monkeypatch):
    assert machine.shared_memory(tmp_path / "none").level == "warning"
    monkeypatch.setattr(machine, "SHARED_MEMORY_LEAST", 2**60)
    found = machine.shared_memory(tmp_path)
    assert found.level == "error"
    assert "--shm-size=16g" in found.advice


def test_few_open_files_are_a_warning():
    assert machine.open_files(1024).advice.startswith("ulimit -n 65536")
    assert machine.open_files(65536).level == "ok"


def test_a_long_temporary_directory_has_no_room_for_rays_sockets(tmp_path):
    assert machine.ray_folder(str(tmp_path / ("x" * 60))).level == "error"
    assert "RAY_TMPDIR" in machine.ray_folder(str(tmp_path / ("x" * 60))).advice


def test_a_taken_port_says_how_to_find_who_has_it():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        number = taken.getsockname()[1]
        found = network.port(number, "MASTER_PORT")
    assert (found.level, found.subject) == ("error", f"port {number}")
    assert f"sport = :{number}" in found.advice
    assert network.port(number, "MASTER_PORT").level == "ok"


def test_several_nodes_need_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    subjects = {found.subject: found for found in network.cluster(load("qwen3_4b", ["nodes=2"]))}
    assert subjects["several nodes"].level == "error"
    (tmp_path / "srun").touch(0o755)
    (found,) = network.cluster(load("qwen3_4b", ["nodes=2"]))
    assert found.subject == f"port {RENDEZVOUS_PORT}"


def test_a_hub_that_does_not_answer_is_called_offline():
    with socket.socket() as closed:  # bound and not listening: refuses at once
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        (found,) = network.hub(load("qwen3_4b", ["init=none"]), endpoint)
    assert found.level == "error"
    assert found.found.startswith(f"offline: {endpoint} does not answer")
    assert found.advice.startswith("Qwen/Qwen3-4B, SynthLabsAI/Big-Math-RL-Verified cannot be fetched: set model.path")


def test_what_is_made_here_needs_no_hub():
    (found,) = network.hub(load("tiny", []), "http://127.0.0.1:9")
    assert found.level == "ok"


@pytest.mark.parametrize(("token", "level"), [("", "error"), ("hf_x", "ok")])
def test_a_gated_data_set_needs_a_token(token, level, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        answers, found = network.hub(load("qwen3_4b", []), f"http://127.0.0.1:{server.server_port}")
    assert answers.level == "ok"
    assert (found.subject, found.level) == ("hub token", level)
    assert "SynthLabsAI/Big-Math-RL-Verified" in found.found


def test_this_machine_can_run_the_tiny_recipe():
    findings = list(examine(load("tiny", ["hardware.device=cpu"])))
    assert [finding for finding in findings if finding.level == "error"] == []
    assert {"Python", "packages", "GPU", "memory", "disk", "shared memory", "open files", "Ray", "hub"} <= {
        finding.subject for finding in findings
    }


def test_what_blocks_is_printed_last_and_whole():
    console = Console(file=io.StringIO(), width=100)
    print_findings([Finding("a", "bad", "error", 'pip install -e ".[gpu]"'), Finding("b", "good")], console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert printed.index("good") < printed.index("bad")
    assert '".[gpu]"' in printed


FLASH_ATTENTION = "sft.verl.model.override_config.attn_implementation=flash_attention_2"


@pytest.mark.parametrize(
    ("overrides", "installed", "level", "found"),
    [
        ([], None, "ok", NAME),
        (["model.dtype=float32"], None, "warning", "float32 has no flash kernel"),
        ([FLASH_ATTENTION], "flash_attn", "ok", f"flash_attention_2, {NAME}"),
        ([FLASH_ATTENTION], "flash_attn_4", "error", "flash_attention_2 needs flash-attn"),
    ],
)
def test_attention_of_a_gpu_run_is_named_before_it_starts(monkeypatch, tmp_path, overrides, installed, level, found):
    if installed:
        record = tmp_path / f"{installed}-2.8.3.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {installed}\nVersion: 2.8.3\n")
        monkeypatch.syspath_prepend(str(tmp_path))
    finding = software.attention(load("qwen3_4b", overrides))
    assert (finding.level, finding.found.startswith(found)) == (level, True)


def test_a_missing_package_of_a_model_or_of_data_blocks(monkeypatch, tmp_path):
    known = versions.installed_version
    for missing, subject in {"gguf": "model", "reasoning-gym": "data"}.items():
        monkeypatch.setattr(
            versions, "installed_version", lambda name, gone=missing: None if name == gone else known(name)
        )
        findings = list(examine(hardware.resolve(load("smollm2_135m", [f"output_dir={tmp_path}"]))))
        (found,) = [finding for finding in findings if finding.found == "cannot be made here"]
        assert (found.subject, found.level) == (subject, "error")
        assert f"needs the package {missing}, which is not installed: pip install" in found.advice
