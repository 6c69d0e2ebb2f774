import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parent.parent.parent / "scripts" / "setup.sh"
PYPROJECT = """\
[build-system]
requires = []
build-backend = "nothing_of_that_name"
[project]
name = "x"
version = "1"
[project.optional-dependencies]
cpu = []
dev = []
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with the real setup.sh and a virtual environment that holds pip alone."""
    tmp_path = tmp_path_factory.mktemp("repository")
    (tmp_path / "scripts").mkdir()
    shutil.copy(SETUP, tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "constraints-cpu.txt").touch()
    subprocess.run([sys.executable, "-m", "venv", tmp_path / ".venv"], check=True)
    return tmp_path


def bash(repository: Path, script: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=repository,
        env={"PATH": "/usr/bin:/bin", "VCORE_DEVICE": "cpu", **env},
        capture_output=True,
        text=True,
    )


def stamp(repository: Path) -> str:
    digest = subprocess.run(
        "cat pyproject.toml constraints-cpu.txt | sha256sum | cut -d' ' -f1",
        shell=True, cwd=repository, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return f"cpu {digest.stdout.strip()} {repository}\n"


def test_an_environment_that_is_current_is_left_alone(repository):
    (repository / ".venv" / ".stamp").write_text(stamp(repository))
    ended = bash(repository, "source scripts/setup.sh; echo $PYTHON")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{repository}/.venv/bin/python\n"


def test_a_failed_installation_shows_the_end_of_its_log_and_is_tried_again(repository):
    outdated = f"cpu 0 {repository}\n"
    (repository / ".venv" / ".stamp").write_text(outdated)
    ended = bash(repository, "source scripts/setup.sh; echo went on", PIP_NO_INDEX="1")
    assert ended.returncode == 1
    assert "went on" not in ended.stdout
    assert "nothing_of_that_name" in ended.stderr
    assert ended.stderr.splitlines()[-1].endswith(f"the full output is in {repository}/.venv/setup.log")
    assert (repository / ".venv" / ".stamp").read_text() == outdated


def test_a_dry_run_uses_an_outdated_environment_as_it_is(repository):
    (repository / ".venv" / ".stamp").write_text(f"cpu 0 {repository}\n")
    ended = bash(repository, "set -- tiny init=dft --dry-run; source scripts/setup.sh; echo $PYTHON")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        f"{repository}/.venv is not up to date, but --dry-run installs nothing and uses it as it is.\n"
        f"{repository}/.venv/bin/python\n"
    )


@pytest.mark.parametrize("words", ["", "tiny --dry-run"])
def test_an_environment_of_another_checkout_is_refused(repository, tmp_path, words):
    (repository / ".venv" / ".stamp").write_text("cpu 0 /home/me/another checkout\n")
    ended = bash(repository, f"set -- {words}; source scripts/setup.sh")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ".venv was made for the checkout in /home/me/another checkout: remove it" in ended.stderr
    (tmp_path / "scripts").mkdir()
    shutil.copy(SETUP, tmp_path / "scripts")
    for name in ("pyproject.toml", "constraints-cpu.txt"):
        shutil.copy(repository / name, tmp_path)
    (tmp_path / ".venv").symlink_to(repository / ".venv")
    ended = bash(tmp_path, f"set -- {words}; source scripts/setup.sh")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert f".venv is a link to {repository}/.venv: remove the link" in ended.stderr


def test_an_unknown_device_is_refused(repository):
    ended = bash(repository, "source scripts/setup.sh", VCORE_DEVICE="tpu")
    assert (ended.returncode, ended.stderr) == (1, "error: VCORE_DEVICE=tpu is not known; use cpu or gpu\n")


def test_torchvision_that_does_not_import_is_removed_and_a_working_one_left(repository):
    (repository / ".venv" / ".stamp").write_text(stamp(repository))
    packages = next((repository / ".venv" / "lib").glob("python3.*")) / "site-packages"
    for name, code in {
        "torchvision": "raise RuntimeError('operator torchvision::nms does not exist')",
        "torchaudio": "",
    }.items():
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text(code)
        info = packages / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "INSTALLER").write_text("pip\n")
        files = [f"{name}/__init__.py", *(f"{info.name}/{file}" for file in ("METADATA", "INSTALLER", "RECORD"))]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    ended = bash(repository, "source scripts/setup.sh; remove_broken_torch_companions")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Removing torchvision: ")
    assert ended.stdout.count("\n") == 1
    assert not (packages / "torchvision" / "__init__.py").exists()
    assert (packages / "torchaudio" / "__init__.py").exists()
