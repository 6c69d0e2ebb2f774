"""A uniform sample from a stream too large for memory. Imports no torch."""

import hashlib
import heapq
import json
from typing import Generic, TypeVar

Item = TypeVar("Item")


def rank(seed: int, *content: object) -> int:
    """A pseudo-random sort key for a row, a hash of the seed and the row's content alone; 128 bits."""
    digest = hashlib.sha256(json.dumps([seed, *content]).encode()).digest()
    return int.from_bytes(digest[:16], "big")


class Draw(Generic[Item]):
    """Keeps the `capacity` items of lowest rank: a uniform sample, independent of the stream's order and sharding.

    Of items of equal rank, the one of lowest `preference` is kept, the others count as repeats: the same row again, or
    further rows of a group whose key was ranked.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.offered = 0
        self._items: dict[int, Item] = {}
        self._preferences: dict[int, int] = {}
        self._repeats: dict[int, int] = {}
        self._largest: list[int] = []  # negated ranks: a max-heap

    def add(self, place: int, item: Item, preference: int = 0) -> None:
        self.offered += 1
        if place in self._items:
            self._repeats[place] += 1
            if preference < self._preferences[place]:
                self._items[place], self._preferences[place] = item, preference
            return
        self._items[place], self._preferences[place], self._repeats[place] = item, preference, 0
        heapq.heappush(self._largest, -place)
        if len(self._items) > self.capacity:
            evicted = -heapq.heappop(self._largest)
            del self._items[evicted], self._preferences[evicted], self._repeats[evicted]

    def ordered(self) -> list[Item]:
        """The drawn items sorted by rank: every prefix is itself a uniform sample."""
        return [self._items[place] for place in sorted(self._items)]

    @property
    def repeats(self) -> int:
        """Further items of the ranks that are drawn."""
        return sum(self._repeats.values())

    @property
    def left_out(self) -> int:
        return self.offered - self.repeats - len(self._items)
