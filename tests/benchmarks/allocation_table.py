"""The variance of RL's gradient by the rule that allocates the responses, measured on pools of answers.

    python -m vcore_verl readiness runs/tiny/sft/seed0/sft/hf --prompts 64 --samples 64
    python tests/benchmarks/allocation_table.py runs/tiny/sft/seed0/sft/hf [CHECKPOINT ...] [--per-prompt 4 --pilot 2]

The gradient of every answer's log-likelihood with respect to the output layer is computed first. Then each rule is
replayed: pilots and allocated answers are drawn from the pool without replacement, a step's gradient is estimated from
them, and its squared distance to the gradient of the whole pool is averaged over 200 replays. The two estimators are
EM, the mean over a prompt's correct answers, which is RAFT's, and the group baseline, Dr. GRPO's times n / (n - 1). All
rules have as many answers per step, pilots included. Errors are relative to those of the same number for each prompt;
beside them is what the rule's formula expects from the pool's success rates and norms. Also printed is the rank
correlation of the norm that the trainer uses with the exact one.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from transformers import AutoModelForCausalLM, AutoTokenizer

from vcore_verl.rl.allocation import Pilots, allocate, gvm, neyman, numbers

REPLAYS = 200
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """A pool: P prompts with S answers each. K = P S, in prompt order; gram_KK: inner products of their gradients."""

    correct_PS: Array
    proxy_PS: Array
    gram_KK: Array

    @property
    def exact_PS(self) -> Array:
        return np.sqrt(np.diag(self.gram_KK)).reshape(self.correct_PS.shape)


def read(checkpoint: Path) -> Answers:
    rows = pq.read_table(checkpoint.parent / "readiness" / "samples.parquet").to_pylist()
    rows.sort(key=lambda row: (row["prompt_id"], row["sample_idx"]))
    shape = (len({row["prompt_id"] for row in rows}), -1)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    gradients = torch.stack([gradient(model, tokenizer, row) for row in rows])
    gram = (gradients @ gradients.T).double().numpy()
    correct, proxy = (
        np.array([row[name] for row in rows], dtype=float).reshape(shape) for name in ("score", "logit_norm")
    )
    return Answers(correct, proxy, gram)


@torch.no_grad()
def gradient(model: torch.nn.Module, tokenizer: object, row: dict) -> torch.Tensor:
    """Of the answer's log-likelihood with respect to the output layer, flat: sum of (onehot - p) h over its tokens."""
    prompt, answer = (tokenizer(row[name], add_special_tokens=False)["input_ids"] for name in ("prompt", "response"))
    if row["finish_reason"] == "stop":
        answer = [*answer, tokenizer.eos_token_id]
    hidden = model.model(torch.tensor([[*prompt, *answer]])).last_hidden_state[0, len(prompt) - 1 : -1]
    missing = -model.lm_head(hidden).softmax(-1)
    missing[torch.arange(len(answer)), torch.tensor(answer)] += 1
    return (missing.T @ hidden).flatten()


def em(correct: list[Array]) -> list[Array]:
    """Weights of the answers to each prompt: 1 / (m |D|) on the correct ones."""
    return [found / max(1.0, found.sum()) / len(correct) for found in correct]


def grouped(correct: list[Array]) -> list[Array]:
    """Weights (r - mean) / (m (n - 1))."""
    return [(found - found.mean()) / max(1, len(found) - 1) / len(correct) for found in correct]


ESTIMATORS: dict[str, Callable[[list[Array]], list[Array]]] = {"EM": em, "group baseline": grouped}


def error(pool: Answers, chosen: list[NDArray[np.int64]], estimator: Callable) -> float:
    """Squared distance of the gradient from the `chosen` answers of each prompt to that of the whole pool."""
    size = pool.correct_PS.shape[1]
    difference = -np.concatenate(estimator(list(pool.correct_PS)))
    weights = estimator([pool.correct_PS[prompt, rows] for prompt, rows in enumerate(chosen)])
    for prompt, (rows, weight) in enumerate(zip(chosen, weights, strict=True)):
        difference[prompt * size + rows] += weight
    return float(difference @ pool.gram_KK @ difference)


def replay(pool: Answers, rule: str, pilot: int, per_prompt: int, discard: bool, random: Generator) -> list[NDArray]:
    """The answers that one step draws; with "true" in the rule's name it knows the pool's rates and norms."""
    prompts, size = pool.correct_PS.shape
    order = [random.permutation(size) for _ in range(prompts)]
    total, kept = per_prompt * prompts, 0 if discard else pilot
    if rule.startswith("true"):
        rate, norm = pool.correct_PS.mean(1), pool.proxy_PS.mean(1)
        weight = gvm(rate, norm, 0.0, 2.0) if "gvm" in rule else neyman(rate, norm)
        number = allocate(weight, total, 2, size)
        return [rows[:count] for rows, count in zip(order, number, strict=True)]
    first = [rows[:pilot] for rows in order]
    pilots = Pilots(
        [pool.correct_PS[prompt, rows] for prompt, rows in enumerate(first)],
        [pool.proxy_PS[prompt, rows] for prompt, rows in enumerate(first)],
    )
    total -= pilot * prompts * discard
    number = numbers(rule, pilots, total, max(kept, min(2, total // prompts)), size - pilot, 1e-3, 2.0)
    start = pilot if discard else 0
    return [rows[start : start + count] for rows, count in zip(order, number, strict=True)]


def measured(pool: Answers, args: argparse.Namespace) -> dict[tuple[str, bool], dict[str, float]]:
    """(rule, pilots discarded) -> estimator -> mean squared error."""
    rules = [(rule, False) for rule in ("uniform", "gvm", "neyman", "true gvm", "true neyman")]
    found: dict[tuple[str, bool], dict[str, float]] = {}
    for rule, discard in [*rules, ("gvm", True), ("neyman", True)]:
        random = np.random.default_rng(0)
        draws = [replay(pool, rule, args.pilot, args.per_prompt, discard, random) for _ in range(args.replays)]
        found[rule, discard] = {
            name: float(np.mean([error(pool, chosen, estimator) for chosen in draws]))
            for name, estimator in ESTIMATORS.items()
        }
    return found


def expected(pool: Answers, rule: str, per_prompt: int) -> str:
    """What the rule's own formula says with the pool's rates and norms, relative to uniform: for "true" rules."""
    if not rule.startswith("true"):
        return ""
    rate, norm = pool.correct_PS.mean(1), pool.exact_PS.mean(1)
    if "gvm" in rule:
        weight, cost = gvm(rate, norm, 0.0, 2.0), np.divide(norm**2, rate, out=np.zeros_like(rate), where=rate > 0)
    else:
        weight, cost = neyman(rate, norm), norm**2 * rate * (1 - rate)
    number, lost = allocate(weight, per_prompt * len(rate), 2, pool.correct_PS.shape[1]), int("neyman" in rule)
    return f"{(cost / (number - lost)).sum() / (cost / (per_prompt - lost)).sum():.2f}"  # the baseline takes a response


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--per-prompt", type=int, default=4, help="answers per prompt on average, pilots included")
    parser.add_argument("--pilot", type=int, default=2)
    parser.add_argument("--replays", type=int, default=REPLAYS)
    args = parser.parse_args()
    console = Console()
    for checkpoint in args.checkpoints:
        pool = read(checkpoint)
        rate = pool.correct_PS.mean(1)
        rank = spearmanr(pool.proxy_PS.ravel(), pool.exact_PS.ravel()).statistic
        console.print(
            f"\n[bold]{checkpoint}[/bold]: {len(rate)} prompts x {pool.correct_PS.shape[1]} answers, accuracy "
            f"{rate.mean():.1%}, 0 < p < 1 for {((rate > 0) & (rate < 1)).mean():.0%}, norms agree to {rank:.2f}",
            highlight=False,
        )
        found = measured(pool, args)
        table = Table("rule", "pilots", *ESTIMATORS, "by its formula", box=None)
        for (rule, discard), errors in found.items():
            relative = [f"{errors[name] / found['uniform', False][name]:.2f}" for name in ESTIMATORS]
            pilots = "" if rule.startswith(("true", "uniform")) else "discarded" if discard else "used"
            table.add_row(rule, pilots, *relative, expected(pool, rule, args.per_prompt))
        console.print(table)


if __name__ == "__main__":
    main()
