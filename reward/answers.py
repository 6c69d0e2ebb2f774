"""Which responses to a prompt give the same answer, and how uncertain that shows the policy to be.

Correct answers are equal by the reward's verdict, others as their domain says (`Domain.same_answer`). Every response
without an answer is different from all others.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations


def clusters(answers: Sequence[str], correct: Sequence[bool], same: Callable[[str, str], bool]) -> list[int]:
    """The cluster of each of the responses to one prompt, as the index of its first response.

    `answers` are what the reward extracted, "" for none. Clusters do not depend on the order of the responses: they are
    the connected parts of the relation "equal", which is not transitive (50% equals 50 and 0.5).
    """
    parent = list(range(len(answers)))

    def root(row: int) -> int:
        while parent[row] != row:
            row = parent[row]
        return row

    first = {answer: row for row, answer in reversed(list(enumerate(answers))) if answer}
    right = next((row for row, is_right in enumerate(correct) if is_right), 0)
    pairs = [(row, first[answer]) for row, answer in enumerate(answers) if answer]
    pairs += [(row, right) for row, is_right in enumerate(correct) if is_right]
    # What the reward found wrong is not compared with what it found right.
    wrong = [(row, answer) for answer, row in first.items() if not correct[row]]
    pairs += [(one[0], other[0]) for one, other in combinations(wrong, 2) if same(one[1], other[1])]
    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(row) for row in range(len(answers))]


def sizes(cluster_of: Sequence[int]) -> list[int]:
    """The number of responses in each cluster."""
    return list(Counter(cluster_of).values())


def semantic_entropy(sizes: Sequence[int]) -> float:
    """Entropy of the answers' clusters in nats, from their frequencies; between 0 and log n."""
    total = sum(sizes)
    return -sum(size / total * math.log(size / total) for size in sizes)


def mean_log_frequency(sizes: Sequence[int]) -> float:
    """-mean_k log p_k over the clusters: equation 5 of SEED-GRPO, with frequencies for the probabilities of answers."""
    total = sum(sizes)
    return -sum(math.log(size / total) for size in sizes) / len(sizes)
