"""Where the maps of a network lie in one piece of memory: two share a place if they are never needed at once."""

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 16  # floats: a cache line, so that no two maps share one


@dataclass(frozen=True, slots=True)
class Life:
    """The floats that a map takes, and the first and the last step that writes or reads it."""

    size: int
    first: int
    last: int

    def meets(self, other: "Life") -> bool:
        """Whether both are needed in some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Layout:
    """The offset of each map, and the size of the memory that holds all; in floats."""

    offsets: tuple[int, ...]
    size: int


def lay_out(lives: Sequence[Life]) -> Layout:
    """A small memory for all maps: the largest first, each at the lowest place that is free as long as it lives."""
    offsets: dict[int, int] = {}
    for number in sorted(range(len(lives)), key=lambda number: (-lives[number].size, number)):
        taken = sorted(
            (offset, offset + _aligned(lives[other].size))
            for other, offset in offsets.items()
            if lives[number].meets(lives[other])
        )
        offsets[number] = _lowest(taken, _aligned(lives[number].size))
    size = max((offset + _aligned(lives[number].size) for number, offset in offsets.items()), default=0)
    return Layout(tuple(offsets[number] for number in range(len(lives))), size)


def _lowest(taken: Sequence[tuple[int, int]], size: int) -> int:
    """The lowest offset at which `size` floats are free between what is taken, in ascending order."""
    free = 0
    for begin, end in taken:
        if begin - free >= size:
            break
        free = max(free, end)
    return free


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
