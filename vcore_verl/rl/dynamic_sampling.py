"""Dynamic sampling with a limit: verl 0.9.1 refills forever while all groups are uniform.

It accepts max_num_gen_batches and ignores it (trainer/ppo/v1/trainer_base.py:206).
"""

from collections import Counter
from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

# Batches generated per step before dynamic sampling gives up; DAPO's own default (its max_num_gen_batches).
MAX_GENERATED_BATCHES = 10


class TooFewInformativeGroups(RuntimeError):
    """Dynamic sampling finds no groups whose answers differ in correctness."""


class GenerationBound:
    """Limits the groups that a step generates to `MAX_GENERATED_BATCHES` * `batch_size`.

    `evicted` counts the groups of this step that `buffer` dropped, by the accuracy that all their answers share.
    """

    def __init__(self, buffer: ReplayBuffer, batch_size: int):
        self.batch_size = batch_size
        self.evicted: Counter[float] = Counter()
        self.generated = 0
        self._evict = buffer._evict_terminal_groups
        buffer._evict_terminal_groups = self._count_and_evict  # type: ignore[method-assign]

    def begin_step(self) -> None:
        """Reset the counts; the step's first batch is being generated."""
        self.evicted.clear()
        self.generated = self.batch_size

    def add(self, num_groups: int, step: int) -> None:
        """Count `num_groups` about to be generated. Raises `TooFewInformativeGroups` if the limit is reached."""
        if self.generated >= MAX_GENERATED_BATCHES * self.batch_size:
            raise TooFewInformativeGroups(self._report(step))
        self.generated += num_groups

    def _count_and_evict(self, global_steps: int, partition_id: str, eviction_reasons: tuple[Any, ...]) -> Any:
        # verl removes its own record of an evicted group before the refill that it causes (replay_buffer.py:392).
        self.evicted.update(eviction_reasons[3])
        return self._evict(global_steps, partition_id, eviction_reasons)

    def _report(self, step: int) -> str:
        wrong, correct, all_evicted = self.evicted[0.0], self.evicted[1.0], self.evicted.total()
        return (
            f"dynamic sampling generated {self.generated} groups in step {step} and evicted {all_evicted}, "
            f"{wrong} all wrong and {correct} all correct; it needs {self.batch_size} with differing answers: the "
            f"problems are too {'hard' if wrong >= correct else 'easy'} for this model; choose others, or set "
            "rl.dynamic_sampling=false"
        )
