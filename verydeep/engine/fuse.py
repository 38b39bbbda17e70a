"""Layers that one kernel computes in a single pass: convolution, batch norm, residual addition, ReLU and pool.

A value is fused away only if one layer alone reads it and nobody taps it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from verydeep.engine.values import IMAGES, Computed, Value, Values
from verydeep.spec import BatchNorm, Conv, Linear, Parallel, Pool, ReLU, Shape

Pools: TypeAlias = Callable[[Conv, Shape, Shape], bool]  # whether the kernel of a convolution from x to y can pool too


@dataclass(frozen=True, slots=True)
class Fused:
    """Layers in the order of computation, the first of which says what is computed; reads x, or all that is joined."""

    layers: tuple[Computed, ...]
    reads: tuple[str, ...]
    shape: Shape  # of what leaves the last layer
    added: str | None = None  # another value, which a convolution adds before its ReLU

    @property
    def name(self) -> str:
        """The value that is made: the last layer's."""
        return self.layers[-1].name

    @property
    def norm(self) -> BatchNorm | None:
        """The batch norm that is folded into the weights of the first layer."""
        return next((layer for layer in self.layers[1:] if isinstance(layer, BatchNorm)), None)

    @property
    def pool(self) -> Pool | None:
        """The pool behind a convolution."""
        return next((layer for layer in self.layers[1:] if isinstance(layer, Pool)), None)

    @property
    def has_relu(self) -> bool:
        """Whether a ReLU is part of it."""
        return any(isinstance(layer, ReLU) for layer in self.layers)


def fuse(found: Values, *, pools: Pools) -> tuple[Fused, ...]:
    """The values in as few steps as possible, each where its last layer stood."""
    readers = _only_readers(found)
    shapes = {IMAGES: found.images} | {value.name: value.shape for value in found.computed}
    fused: dict[str, Fused] = {}
    taken: set[str] = set()
    for value in found.computed:
        if value.name in taken:
            continue
        chain = [value]
        while (reader := readers.get(chain[-1].name)) is not None:
            if reader.name in taken or not _continues(chain, reader, shapes, pools):
                break
            chain.append(reader)
        taken.update(link.name for link in chain)
        step = _step(chain)
        fused[step.name] = step
    return tuple(fused[value.name] for value in found.computed if value.name in fused)


def is_product(layer: Conv, x: Shape) -> bool:
    """Whether a convolution has one window, the whole map: a linear layer, whose weights lie in the same order."""
    return layer.kernel == x[1:] and layer.padding == ((0, 0), (0, 0)) and layer.groups == 1


def _only_readers(found: Values) -> Mapping[str, Value]:
    """The one reader of each value that has one and is no output."""
    readers: dict[str, list[Value]] = {}
    for value in found.computed:
        for read in value.reads:
            readers.setdefault(read, []).append(value)
    kept = {IMAGES, *found.taps.values()}
    return {name: those[0] for name, those in readers.items() if len(those) == 1 and name not in kept}


def _continues(chain: list[Value], reader: Value, shapes: Mapping[str, Shape], pools: Pools) -> bool:
    """Whether the kernel of what the chain begins with can compute `reader` too."""
    first, last, layer = chain[0], chain[-1].layer, reader.layer
    if isinstance(layer, ReLU):
        is_sum = isinstance(last, Parallel) and last.join == "add"
        return is_sum or isinstance(last, Conv | Linear | BatchNorm)
    if isinstance(layer, BatchNorm):
        return isinstance(last, Conv | Linear)
    if not isinstance(first.layer, Conv) or is_product(first.layer, shapes[first.reads[0]]):
        return False
    if isinstance(layer, Parallel):
        # A sum of x with itself has two reads of one value, and so no only reader.
        return layer.join == "add" and len(reader.reads) == 2 and isinstance(last, Conv | BatchNorm)
    is_halving = isinstance(layer, Pool) and _halves(layer) and not isinstance(last, Pool)
    has_sum = any(isinstance(link.layer, Parallel) for link in chain)
    return is_halving and not has_sum and pools(first.layer, shapes[first.reads[0]], first.shape)


def _halves(layer: Pool) -> bool:
    is_square = layer.kernel == layer.stride == (2, 2)
    return layer.pooling == "max" and is_square and layer.padding == ((0, 0), (0, 0))


def _step(chain: list[Value]) -> Fused:
    first, *others = chain
    return Fused(
        layers=tuple(link.layer for link in chain),
        reads=first.reads,
        shape=chain[-1].shape,
        added=next(_other_ends(chain), None) if others else None,
    )


def _other_ends(chain: list[Value]) -> Iterator[str]:
    """What the sums in the chain add to the link before them."""
    for before, link in pairwise(chain):
        if isinstance(link.layer, Parallel):
            yield from (read for read in link.reads if read != before.name)
