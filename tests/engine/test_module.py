"""The steps of an engine's module one after another, with no more in memory than is still needed."""

import weakref

import torch
from torch import Tensor, nn

from verydeep.engine.module import Steps


class Plus(nn.Module):
    """One more than the sum of what it reads; notes which of the values before it are still in memory."""

    def __init__(self, given: list[weakref.ref[Tensor]], alive: list[list[int]]) -> None:
        super().__init__()
        self.given, self.alive = given, alive

    def forward(self, *reads: Tensor) -> Tensor:
        self.alive.append([number for number, value in enumerate(self.given, start=1) if value() is not None])
        y = sum(reads[1:], reads[0]) + 1
        self.given.append(weakref.ref(y))
        return y


def test_a_value_is_dropped_behind_the_last_step_that_reads_it():
    given: list[weakref.ref[Tensor]] = []
    alive: list[list[int]] = []
    reads = [(0,), (1,), (2,), (3, 1), (4,), (5, 5)]
    y = Steps([Plus(given, alive) for _ in reads], reads=reads, channels=3)(torch.zeros(1, 3, 2, 2))
    assert torch.equal(y, torch.full((1, 3, 2, 2), 13.0))  # 1, 2, 3, 5, 6, 13
    assert alive == [[], [1], [1, 2], [1, 3], [4], [5]]
