from vcore_verl.runtime.diagnose import cause

# torchrun: the worker's traceback, then the agent's own, which only says that a worker failed.
TORCHRUN = """\
INFO:2026-01-01 sft_trainer: building model
[rank1]: Traceback (most recent call last):
[rank1]:   File "/x/vcore_verl/sft/worker.py", line 40, in train_batch
[rank1]:     loss = compute(batch)
[rank1]:            ^^^^^^^^^^^^^^
[rank1]:   File "/x/vcore_verl/sft/loss.py", line 12, in compute
[rank1]:     raise RuntimeError("sizes differ: 3 and 4")
[rank1]: RuntimeError: sizes differ: 3 and 4
W0101 torch/distributed/elastic closing signal SIGTERM
Traceback (most recent call last):
  File "/y/bin/torchrun", line 7, in <module>
    sys.exit(main())
  File "/y/torch/distributed/launcher/api.py", line 300, in launch_agent
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
main FAILED
"""

RAY = """\
\x1b[36m(TaskRunner pid=812)\x1b[0m Traceback (most recent call last):
\x1b[36m(TaskRunner pid=812)\x1b[0m   File "/x/vcore_verl/rl/trainer.py", line 9, in fit
\x1b[36m(TaskRunner pid=812)\x1b[0m ValueError: prompts_per_step 64 is
\x1b[36m(TaskRunner pid=812)\x1b[0m   not divisible by 3
\x1b[36m(TaskRunner pid=812)\x1b[0m
Traceback (most recent call last):
  File "/x/vcore_verl/rl/main.py", line 20, in main
    ray.get(task)
ray.exceptions.ActorDiedError: The actor died unexpectedly
"""


def of(tmp_path, text, code=1):
    log = tmp_path / "stage.log"
    log.write_text(text)
    return cause(log, code).splitlines()


def test_a_torchrun_worker_is_blamed_rather_than_the_launcher(tmp_path):
    assert of(tmp_path, TORCHRUN) == [
        "exit code 1",
        "RuntimeError: sizes differ: 3 and 4",
        "at /x/vcore_verl/sft/loss.py:12",
    ]


def test_a_ray_task_is_blamed_rather_than_the_driver_and_its_message_is_whole(tmp_path):
    assert of(tmp_path, RAY) == [
        "exit code 1",
        "ValueError: prompts_per_step 64 is",
        "  not divisible by 3",
        "at /x/vcore_verl/rl/trainer.py:9",
    ]


def test_an_error_ray_carries_to_the_driver_is_read_inside_its_wrapper(tmp_path):
    text = """\
Traceback (most recent call last):
  File "/x/main.py", line 3, in <module>
    ray.get(task)
ray.exceptions.RayTaskError(KeyError): \x1b[36mray::TaskRunner.run()\x1b[39m (pid=9, ip=10.0.0.1)
  File "/x/rl/main.py", line 30, in run
    config["nothing"]
KeyError: 'nothing'
"""
    assert of(tmp_path, text) == ["exit code 1", "KeyError: 'nothing'", "at /x/rl/main.py:30"]


def test_an_exception_need_not_be_called_an_error(tmp_path):
    text = """\
Traceback (most recent call last):
  File "/x/main.py", line 3, in <module>
    ray.get(task)
ray.exceptions.RayTaskError(TooFewInformativeGroups): ray::TaskRunner.run() (pid=9, ip=10.0.0.1)
  File "/x/rl/trainer.py", line 67, in refill
    raise TooFewInformativeGroups(report)
vcore_verl.rl.trainer.TooFewInformativeGroups: 40 prompts used
"""
    assert of(tmp_path, text) == [
        "exit code 1",
        "vcore_verl.rl.trainer.TooFewInformativeGroups: 40 prompts used",
        "at /x/rl/trainer.py:67",
    ]


def test_the_only_traceback_is_told_though_it_is_a_messenger(tmp_path):
    text = 'Traceback (most recent call last):\n  File "/x/a.py", line 1, in f\nray.exceptions.ActorDiedError: gone\n'
    assert of(tmp_path, text)[1:] == ["ray.exceptions.ActorDiedError: gone", "at /x/a.py:1"]


def test_without_a_traceback_the_last_words_are_told_without_chatter(tmp_path):
    text = "real message\nWARNING 01-01 12:00:00 something\nINFO 01-01 12:00:00 more\n\n-----\nFutureWarning: old\n"
    assert of(tmp_path, text, 2) == ["exit code 2", "real message"]


def test_sigkill_hints_at_memory(tmp_path):
    assert of(tmp_path, "", 137) == ["killed by SIGKILL; usually out of memory"]


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    text = "ValueError: early\n" + "INFO step\n" * 100_000 + "Segmentation fault\n"
    assert of(tmp_path, text, 139) == ["killed by SIGSEGV", "Segmentation fault"]
