"""The base stage, and the folder of a data set, against a hub on this machine."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vcore_verl.config.recipe import load, save
from vcore_verl.data.command import verify_base
from vcore_verl.runs.layout import ArtefactError, Run

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"version": "1.0"}',
    "model.safetensors": b"weights",
    "original/consolidated.00.pth": b"the publisher's own",
    "consolidated.safetensors": b"the publisher's own",
    "README.md": b"card",
}


class Hub(http.server.BaseHTTPRequestHandler):
    """Knows the model and the data set owner/model, refuses owner/gated, and has nothing else."""

    served: list[str]

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        self.path = self.path.replace("/datasets/", "/").replace("/api/owner", "/api/models/owner")
        self.path = self.path.replace(f"/revision/{COMMIT}", "").replace(f"/{COMMIT}/", "/main/")
        model = "/".join(self.path.removeprefix("/api/models").lstrip("/").split("/")[:2])
        if model == "owner/gated":
            self.reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif self.path == "/api/models/owner/model":
            siblings = [{"rfilename": name} for name in FILES]
            self.reply(200, json.dumps({"id": model, "sha": COMMIT, "siblings": siblings}).encode())
        elif (name := self.path.removeprefix("/owner/model/resolve/main/")) in FILES:
            self.served.append(f"{self.command} {name}")
            etag = hashlib.sha256(FILES[name]).hexdigest()
            self.reply(200, FILES[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
        else:
            self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub():
    Hub.served = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def base_stage(folder: Path, endpoint: str, model: str, **environment: str) -> tuple[Run, subprocess.CompletedProcess]:
    recipe = load("tiny", [f"model.path={model}", f"output_dir={folder}/runs"])
    save(recipe, folder / "recipe.yaml")
    env = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hub")} | environment
    command = [sys.executable, "-m", "vcore_verl.data", "base", str(folder / "recipe.yaml")]
    return Run(recipe), subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def address(server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_the_checkpoint_is_fetched_once_and_linked_into_the_run(hub, tmp_path):
    run, ended = base_stage(tmp_path, address(hub), "owner/model")
    assert ended.returncode == 0, ended.stderr
    verify_base(run.recipe, run)
    assert {file.name for file in run.base_hf.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert (run.base_hf / "model.safetensors").read_bytes() == b"weights"
    lines = [json.loads(line) for line in (run.base / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1] == {"step": 3, "total": 3}
    (run.base_hf / "config.json").unlink()
    with pytest.raises(ArtefactError, match=r"config\.json is missing"):
        verify_base(run.recipe, run)
    before = len(Hub.served)
    base_stage(tmp_path, address(hub), "owner/model")
    verify_base(run.recipe, run)
    assert [line for line in Hub.served[before:] if line.startswith("GET")] == []


def test_a_machine_without_the_hub_takes_what_its_cache_holds(hub, tmp_path):
    base_stage(tmp_path, address(hub), "owner/model")
    run, ended = base_stage(tmp_path, "http://127.0.0.1:9", "owner/model", HF_HUB_OFFLINE="1")
    assert ended.returncode == 0, ended.stderr
    verify_base(run.recipe, run)


@pytest.mark.parametrize(
    ("model", "offline", "said"),
    [
        ("owner/gated", "0", "model owner/gated is gated: accept its terms on its page, run `hf auth login`"),
        ("owner/absent", "0", "the hub has no model owner/absent, or not for you: check model.path"),
        ("owner/model", "1", "and set model.path to its directory"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(hub, tmp_path, model, offline, said):
    _, ended = base_stage(tmp_path, address(hub), model, HF_HUB_OFFLINE=offline)
    assert ended.returncode == 1
    (line,) = ended.stderr.strip().splitlines()
    assert said in line


def data_set(folder: Path, endpoint: str, hub_id: str, **environment: str) -> subprocess.CompletedProcess:
    """Prints a line for each call that keeps the watchdog waiting, then the folder; or the error."""
    program = (
        "import sys\nfrom vcore_verl.data.hub import DataError, dataset_folder\n"
        f"try:\n    print(dataset_folder({hub_id!r}, lambda: print('alive')))\n"
        "except DataError as error:\n    sys.exit(str(error))"
    )
    env = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hub")} | environment
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=300)


def test_all_files_of_a_data_set_are_fetched_once(hub, tmp_path):
    ended = data_set(tmp_path, address(hub), "owner/model")
    assert ended.returncode == 0, ended.stderr
    *alive, folder = ended.stdout.splitlines()
    assert alive == ["alive"] * len(FILES)
    assert {name: (Path(folder) / name).read_bytes() for name in FILES} == FILES
    before = len(Hub.served)
    assert data_set(tmp_path, address(hub), "owner/model").stdout == ended.stdout
    assert [line for line in Hub.served[before:] if line.startswith("GET")] == []
    offline = data_set(tmp_path, "http://127.0.0.1:9", "owner/model", HF_HUB_OFFLINE="1")
    assert offline.stdout == f"{folder}\n", offline.stderr


@pytest.mark.parametrize(
    ("hub_id", "offline", "said"),
    [
        ("owner/gated", "0", "data set owner/gated is gated: accept its terms on its page"),
        ("owner/model", "1", "copy it to DIR/owner/model and set data.mirror=DIR"),
    ],
)
def test_a_data_set_that_cannot_be_had_is_one_line(hub, tmp_path, hub_id, offline, said):
    ended = data_set(tmp_path, address(hub), hub_id, HF_HUB_OFFLINE=offline)
    (line,) = ended.stderr.strip().splitlines()
    assert ended.returncode == 1 and said in line
