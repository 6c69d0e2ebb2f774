"""Pairs per second and worst latency of `reward` against verl's math_verify reward, on the same pairs in one run.

    python tests/benchmarks/reward_speed.py [pairs per mix]

Two mixes of the pairs in tests/reward/agreement.txt: `numbers` (90 % plain numbers) and `hard` (only pairs that exact
arithmetic does not settle). Both rewards are called from 8 threads, as from verl's executor, once warm. A third run
puts endless answers among them and shows the worst latency.
"""

import importlib.util
import logging
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from verl.utils.reward_score import math_verify

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from reward import compute_score, warm_up  # noqa: E402
from reward.mathematics.extraction import extract_answer  # noqa: E402
from reward.mathematics.grading import grade  # noqa: E402
from reward.mathematics.shape import Unreadable  # noqa: E402

THREADS = 8
DEADLINE_S = 5.0
ENDLESS = [
    r"5^{5^{5^{5^5}}}",
    r"\sum_{k=1}^{10^{9}}k^k",
    r"\prod_{k=1}^{1000000}(x+k)",
    r"\frac{1}{1+" * 25 + "x" + "}" * 25,
]
Pair = tuple[str, str]  # accepted answer, response


def ours(pair: Pair) -> float:
    return compute_score("math", pair[1], pair[0], deadline_s=DEADLINE_S)["score"]


def verls(pair: Pair) -> float:
    return math_verify.compute_score(pair[1], pair[0])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    logging.disable(logging.WARNING)
    rng = random.Random(0)
    corpus = _corpus()
    hard = [pair for pair in corpus if _needs_algebra(*pair)]
    mixes = {"numbers": _numbers(rng, count * 9 // 10) + rng.choices(corpus, k=count - count * 9 // 10)}
    mixes["hard"] = rng.choices(hard, k=count)
    warm_up()
    verls(("x+1", r"\boxed{1+x}"))
    print(f"{'mix':<10}{'reward':<14}{'pairs/s':>10}{'worst s':>10}{'median ms':>12}")
    for name, mix in mixes.items():
        rng.shuffle(mix)
        speeds = [_measure(name, label, score, mix) for label, score in (("ours", ours), ("verl", verls))]
        print(f"{name:<10}{'ours / verl':<14}{speeds[0] / speeds[1]:>10.1f}")
    hostile = [("x+1", rf"\boxed{{{answer}}}") for answer in ENDLESS] + mixes["numbers"][:200]
    rng.shuffle(hostile)
    _measure("hostile", "ours", ours, hostile, threads=2)


def _measure(
    mix_name: str, label: str, score: Callable[[Pair], float], mix: list[Pair], threads: int = THREADS
) -> float:
    def timed(pair: Pair) -> float:
        started = time.perf_counter()
        score(pair)
        return time.perf_counter() - started

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as executor:
        latencies = sorted(executor.map(timed, mix))
    speed = len(mix) / (time.perf_counter() - started)
    median_ms = 1000 * latencies[len(latencies) // 2]
    print(f"{mix_name:<10}{label:<14}{speed:>10.0f}{latencies[-1]:>10.2f}{median_ms:>12.2f}", flush=True)
    return speed


def _corpus() -> list[Pair]:
    spec = importlib.util.spec_from_file_location("corpus", ROOT / "tests/reward/conftest.py")
    corpus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(corpus)
    return [(pair.gold, f"So the answer is {pair.response}.") for pair in corpus.read_agreement()]


def _needs_algebra(gold: str, response: str) -> bool:
    try:
        return grade(gold, extract_answer(response) or "") is None
    except Unreadable:
        return False


def _numbers(rng: random.Random, count: int) -> list[Pair]:
    forms = ["{0}", "{0:,}", r"\frac{{{0}}}{{{1}}}", "{0}.5", "-{0}"]
    pairs = []
    for _ in range(count):
        form = rng.choice(forms)
        gold = form.format(rng.randrange(10**5), rng.randrange(2, 99))
        answer = gold if rng.random() < 0.5 else form.format(rng.randrange(10**5), rng.randrange(2, 99))
        pairs.append((gold, rf"So the answer is \boxed{{{answer}}}."))
    return pairs


if __name__ == "__main__":
    main()
