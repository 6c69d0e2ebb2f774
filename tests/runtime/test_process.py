import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from vcore_verl.runs.metrics_file import GrowingFile
from vcore_verl.runtime.process import Command, StageFailed, run

pytestmark = pytest.mark.alone


def python(code: str, tmp_path: Path, total: int = 3) -> Command:
    """A child that runs `code`, in which `step(n)` reports progress; its command line holds `tmp_path`."""
    prelude = f"import os, subprocess, sys, time, json\nPROGRESS = {str(tmp_path / 'progress.jsonl')!r}\n"
    prelude += (
        "def step(n, **more):\n    open(PROGRESS, 'a').write(json.dumps({'step': n, 'total': 3, **more}) + '\\n')\n"
    )
    return Command(
        argv=[sys.executable, "-c", prelude + textwrap.dedent(code), str(tmp_path)],
        env={"GREETING": "hello"},
        progress=tmp_path / "progress.jsonl",
        total=total,
        unit="step",
    )


def marked(tmp_path: Path) -> list[psutil.Process]:
    """Living processes that have `tmp_path` on their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if str(tmp_path) in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def wait_until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time allowed"
        time.sleep(0.05)


# A process in a session of its own that ignores SIGTERM and whose parent has ended, as Ray's and vLLM's may.
DAEMON = """
import signal
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
"""


def test_reports_progress_and_keeps_output_in_the_log(tmp_path):
    seen = []
    command = python("step(1, loss=2.5); print(os.environ['GREETING']); step(2, loss=1.5)", tmp_path)
    run(command, tmp_path / "logs" / "sft.log", 10, seen.append)
    assert seen == [{"step": 1, "total": 3, "loss": 2.5}, {"step": 2, "total": 3, "loss": 1.5}]
    assert (tmp_path / "logs" / "sft.log").read_text() == "hello\n"


def test_lines_of_an_earlier_attempt_are_not_progress(tmp_path):
    (tmp_path / "progress.jsonl").write_text('{"step": 1, "total": 3}\n')
    seen = []
    run(python("step(2)", tmp_path), tmp_path / "a.log", 10, seen.append)
    assert [line["step"] for line in seen] == [2]


def test_progress_file_waits_for_whole_lines_and_follows_a_replaced_file(tmp_path):
    path = tmp_path / "p.jsonl"
    progress = GrowingFile(path, skip_existing=True)
    assert progress.new_lines() == []
    path.write_text('{"step": 1}\n{"st')
    assert progress.new_lines() == [{"step": 1}]
    path.write_text('{"step": 1}\n{"step": 2}\n')
    assert progress.new_lines() == [{"step": 2}]
    (tmp_path / "kept").write_text('{"step": 1}\n')
    (tmp_path / "kept").rename(path)
    assert progress.new_lines() == []
    path.write_text('{"step": 1}\n{"step": 2, "again": true}\n')
    assert progress.new_lines() == [{"step": 2, "again": True}]


def test_a_failure_names_its_exception_frame_and_log(tmp_path):
    with pytest.raises(StageFailed) as failed:
        run(python("raise ValueError('bad shape')", tmp_path), tmp_path / "sft.log", 10, lambda line: None)
    assert str(failed.value).splitlines() == [
        "exit code 1",
        "ValueError: bad shape",
        "at <string>:5",
        f"log: {tmp_path / 'sft.log'}",
    ]


def test_files_of_a_command_are_there_when_it_starts(tmp_path):
    job = tmp_path / "new" / "job.json"
    command = python(f"print(open({str(job)!r}).read())", tmp_path)
    command = replace(command, progress=job.with_name("progress.jsonl"), files={job: "all there is to know"})
    run(command, tmp_path / "log", 60, lambda line: None)
    assert "all there is to know" in (tmp_path / "log").read_text()


def test_a_command_that_does_not_exist_fails(tmp_path):
    command = Command(argv=["/nowhere/torchrun"], env={}, progress=tmp_path / "p", total=1, unit="step")
    with pytest.raises(StageFailed, match="cannot start /nowhere/torchrun"):
        run(command, tmp_path / "a.log", 10, lambda line: None)


def test_a_stage_without_new_steps_is_stopped_though_it_logs(tmp_path):
    command = python("step(1)\nwhile True: print('chatter'); time.sleep(0.05)", tmp_path)
    said = "no progress for 0.05 minutes after step 1 of 3; stopped\nraise hardware.stall_minutes above 0.05 if"
    with pytest.raises(StageFailed, match=said):
        run(command, tmp_path / "a.log", 3.0, lambda line: None)
    assert marked(tmp_path) == []


def test_start_up_has_twice_the_allowance(tmp_path):
    run(python("time.sleep(3.5); step(1)", tmp_path), tmp_path / "a.log", 3.0, lambda line: None)
    with pytest.raises(StageFailed, match="before its first step"):
        run(python("time.sleep(60)", tmp_path), tmp_path / "a.log", 0.2, lambda line: None)


def test_what_a_stage_computes_before_its_first_step_has_time_of_its_own(tmp_path):
    run(python("time.sleep(2); step(1)", tmp_path), tmp_path / "a.log", 0.5, lambda line: None, 20.0)
    with pytest.raises(StageFailed, match="after step 1 of 3"):
        run(python("step(1); time.sleep(60)", tmp_path), tmp_path / "a.log", 0.5, lambda line: None, 20.0)


def test_daemons_do_not_outlive_a_normal_end(tmp_path):
    run(python(DAEMON, tmp_path), tmp_path / "a.log", 20, lambda line: None)
    assert marked(tmp_path) == []


LAUNCHER = """
import json, sys
from pathlib import Path
from vcore_verl.runtime.process import Command, run
where = Path(sys.argv[2])
command = Command([sys.executable, "-c", sys.argv[1], str(where)], {}, where / "progress.jsonl", 3, "step")
run(command, where / "a.log", 60, lambda line: print("step", flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_a_launcher_that_is_stopped(tmp_path, number):
    work = python(DAEMON + "step(1)\ntime.sleep(600)", tmp_path).argv[2]
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, work, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == b"step\n"
    assert len(marked(tmp_path)) == 4  # launcher, guard, command, daemon
    launcher.send_signal(number)
    launcher.wait()
    wait_until(lambda: marked(tmp_path) == [])


def test_a_command_killed_by_the_system_says_so(tmp_path):
    with pytest.raises(StageFailed, match="killed by SIGKILL; usually out of memory"):
        run(python("os.kill(os.getpid(), 9)", tmp_path), tmp_path / "a.log", 10, lambda line: None)


RAY_SESSION = """
from pathlib import Path
session = Path(os.environ["RAY_TMPDIR"], "ray", "session_2026-01-02_03-04-05_678_9")
(session / "logs").mkdir(parents=True)
(session / "logs" / "raylet.err").write_text("the raylet's last words")
(session.parent / "session_latest").symlink_to(session)
print(os.environ["RAY_TMPDIR"], flush=True)
"""


def test_rays_directory_is_private_and_goes_with_the_command(tmp_path):
    run(python(RAY_SESSION, tmp_path), tmp_path / "rl.log", 10, lambda line: None)
    directory = (tmp_path / "rl.log").read_text().strip()
    assert len(directory + "/ray/session_2026-01-02_03-04-05_678901_1234567/sockets/plasma_store") <= 107
    assert not Path(directory).exists()
    assert not (tmp_path / "rl.ray").exists()


def test_rays_logs_of_a_failed_command_are_kept(tmp_path):
    with pytest.raises(StageFailed):
        run(python(RAY_SESSION + "sys.exit(3)", tmp_path), tmp_path / "rl.log", 10, lambda line: None)
    assert not Path((tmp_path / "rl.log").read_text().strip()).exists()
    kept = [str(path.relative_to(tmp_path / "rl.ray")) for path in (tmp_path / "rl.ray").rglob("*.err")]
    assert kept == ["session_2026-01-02_03-04-05_678_9/raylet.err"]
