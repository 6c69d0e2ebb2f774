r"""Answers meant to hang, crash, starve or subvert whoever grades them."""

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward import STATUSES, compute_score, warm_up

pytestmark = pytest.mark.alone

DEADLINE_S = 1.0
GOLDS = ["7", "x+1", r"\frac{1}{2}", r"\{1,2\}", r"\text{Tuesday}", r"2\sqrt{2}", "[1,2)"]


def _nest(opening: str, inner: str, closing: str, depth: int) -> str:
    return opening * depth + inner + closing * depth


ENDLESS: list[Callable[[random.Random], str]] = [  # may take more than a lifetime
    lambda r: _nest(f"{r.randint(2, 9)}^{{", "9", "}", r.randint(3, 9)),
    lambda r: _nest("x^{", "x", "}", r.randint(8, 40)),
    lambda r: _nest("(", f"{r.randint(9, 99)}!", ")!", r.randint(1, 5)),
    lambda r: rf"\sum_{{k=1}}^{{10^{{{r.randint(6, 99)}}}}}k^k",
    lambda r: rf"\prod_{{k=1}}^{{{10 ** r.randint(4, 9)}}}(x+k)",
    lambda r: rf"\int_0^1 e^{{e^{{{r.randint(2, 9)}e^x}}}}dx",
    lambda r: _nest(r"\frac{1}{1+", "x", "}", r.randint(10, 60)),
]
NASTY: list[Callable[[random.Random], str]] = [
    lambda r: f"(x+{r.randint(1, 9)})^{{{10 ** r.randint(3, 30)}}}",
    lambda r: f"(a+b+c+d)^{{{r.randint(50, 5000)}}}",
    lambda r: f"{10 ** r.randint(3, 12)}!+x",
    lambda r: rf"\binom{{10^{{{r.randint(3, 30)}}}}}{{10^{{{r.randint(2, 9)}}}}}",
    lambda r: rf"\tan(10^{{{r.randint(2, 9)}}})+x",
    lambda r: _nest("(", "7", ")", r.randint(10, 400)),
    lambda r: _nest("{", "7", r.choice(["}", ""]), r.randint(10, 400)),
    lambda r: _nest(r"\{", "7", r"\}", r.randint(10, 200)),
    lambda r: _nest(r"\sqrt{", "x", "}", r.randint(10, 120)),
    lambda r: _nest("[", "1,2", "]", r.randint(10, 300)),
    lambda r: _nest(r"\begin{pmatrix}", "1", r"\end{pmatrix}", r.randint(2, 20)),
    lambda r: r.choice(["9", "x+", "1,", "((", r"\{", "-", "^", "1 ", r"\frac", "\\", "$", "."]) * r.randint(10, 450),
    lambda r: r.choice(["9", "x+", "1,", r"\boxed{", "{", "}", "</think>", "#### "]) * 200_000,
    lambda r: "".join(chr(r.randrange(32)) for _ in range(r.randint(1, 80))) + "7",
    lambda r: "".join(r.choice(r"{}\()[]^_$%&#~ 17x+") for _ in range(r.randint(1, 300))),
    lambda r: "".join(chr(r.choice([*range(0x20, 0x2FF), *range(0xD800, 0xDFFF)])) for _ in range(r.randint(1, 200))),
    lambda r: r.choice(["%s%s%n", "{0}{}{__class__}", "%1000000000d", "{:>999999999}", "${7*7}", "{{7*7}}"]),
    lambda r: r.choice(["$(touch hacked)", "`touch hacked`", "; touch hacked", "| touch hacked", "\n touch hacked\n"]),
    lambda r: r.choice(PYTHON),
    lambda r: r.choice([r"\input{/etc/passwd}", r"\def\x{\x\x}\x", r"\write18{touch hacked}", r"\loop\iftrue\repeat"]),
    lambda r: "".join(r.choice([r"\frac", r"\sqrt", r"\sum", r"\int", r"\lim", "{", "}", "x", "1"]) for _ in range(90)),
    lambda r: r"\begin{cases}" + r"x&y\\" * r.randint(1, 200),
    lambda r: "7" + chr(r.randrange(0x300, 0x36F)) * r.randint(1, 900),
    lambda r: r"\text{" * r.randint(1, 200) + "7",
]
COMMANDS = [
    r"\{",
    r"\}",
    r"\frac",
    r"\sqrt",
    r"\pi",
    r"\text{cm}",
    r"\circ",
    r"\le",
    r"\in",
    r"\cup",
    r"\infty",
    r"\pm",
]
COMMANDS += [r"\sum_", r"\int", r"\log", r"\sin", r"\left", r"\right", r"\\", r"\overline", r"\binom", r"\lim", " or "]
PYTHON = [
    "__import__('os').system('touch hacked')",
    "().__class__.__bases__[0].__subclasses__()",
    "eval(compile('open(\"hacked\",\"w\")','','exec'))",
    "exec('import os;os._exit(1)')",
    "lambda: 1/0",
    "open('hacked','w').write('7')",
    "[x for x in iter(int,1)]",
]


def _attacks(count: int, seed: int) -> list[tuple[str, str]]:
    """(response, accepted answer) pairs; one in twenty would never end."""
    rng = random.Random(seed)
    pairs = []
    for _ in range(count):
        attack = rng.choice(ENDLESS if rng.random() < 0.05 else NASTY)(rng)
        frame = rng.choice(
            [r"\boxed{%s}", r"so \boxed{%s}.", r"<think>\boxed{7}</think>\boxed{%s}", r"\boxed{%s", "%s"]
        )
        pairs.append((frame.replace("%s", attack, 1), rng.choice(GOLDS)))
    return pairs


def _timed(response: str, gold: str) -> tuple[str, float]:
    started = time.monotonic()
    result = compute_score("math", response, gold, deadline_s=DEADLINE_S)
    return result["status"], time.monotonic() - started


@pytest.mark.slow
def test_a_thousand_attacks_return_in_time_and_change_no_honest_score(agreement):
    honest = [(pair.response, pair.gold) for pair in random.Random(1).sample(agreement, 1000)]
    attacks = _attacks(1000, seed=0)
    warm_up()
    alone = [compute_score("math", *pair)["score"] for pair in honest]
    mixed = [pair for both in zip(attacks, honest, strict=True) for pair in both]
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(lambda pair: _timed(*pair), mixed))
    assert [float(status == "correct") for status, _ in outcomes[1::2]] == alone
    assert {status for status, _ in outcomes} <= set(STATUSES)
    assert max(seconds for _, seconds in outcomes) <= DEADLINE_S + 1.0
    # The attacks are real: some would never end. How many more are merely slow depends on the machine.
    assert sum(status == "timeout" for status, _ in outcomes[0::2]) >= 3


def _children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _read(task / "children")]
    return []


def _read(path: Path) -> list[str]:
    return path.read_text().split()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_killing_workers_at_random_changes_no_score(agreement):
    chosen = random.Random(2).choices(agreement, k=5000)
    stop, killed = threading.Event(), []

    def kill_now_and_then() -> None:
        rng = random.Random(3)
        while len(killed) < 60 and not stop.wait(rng.uniform(0.02, 0.2)):
            templates = _children(os.getpid())
            workers = [worker for template in templates for worker in _children(template)]
            victims = templates if len(killed) == 10 else workers
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim := rng.choice(victims), signal.SIGKILL)
                    killed.append(victim)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        with ThreadPoolExecutor(32) as threads:
            scores = list(threads.map(lambda pair: compute_score("math", pair.response, pair.gold), chosen))
    finally:
        stop.set()
        killer.join()
    assert [score["acc"] for score in scores] == [float(pair.equal) for pair in chosen]
    assert len(killed) >= 10


@pytest.mark.parametrize("attack", PYTHON)
def test_nothing_is_evaluated_as_code(attack, repository):
    for data_source in ("math", "vcore/arithmetic", "openai/gsm8k"):
        for frame in (r"\boxed{%s}", "#### %s", r"\boxed{\text{%s}}", r"\boxed{7+%s}"):
            assert compute_score(data_source, frame.replace("%s", attack), "7")["score"] == 0.0
            assert compute_score(data_source, frame.replace("%s", attack), "x+1")["score"] == 0.0
    assert not (repository / "hacked").exists()


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.text(max_size=120), st.sampled_from(GOLDS))
def test_any_text_gets_a_status_in_time(text, gold):
    status, seconds = _timed(rf"\boxed{{{text}}}", gold)
    assert status in STATUSES
    assert seconds <= DEADLINE_S + 1.0


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.lists(
        st.sampled_from([*r"0123456789xyi+-*/^_=<>(){}[]|!,;:.%$&\'", *COMMANDS]),
        max_size=25,
    ).map("".join),
    st.sampled_from(GOLDS),
)
def test_any_mathematics_gets_a_status_in_time(text, gold):
    status, seconds = _timed(rf"\boxed{{{text}}}", gold)
    assert status in STATUSES
    assert seconds <= DEADLINE_S + 1.0
