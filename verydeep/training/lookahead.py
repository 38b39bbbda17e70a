"""Lookahead: every few steps the weights are pulled to their own slow average (Zhang et al., arXiv:1907.08610).

Here with the strength of hlb-CIFAR10 and arXiv:2404.00498, section 3.4: almost the whole way at first, so that the
average follows the weights, and little at last, when the weights follow the average.
"""

import torch
from torch import Tensor

STRONGEST = 0.95**5  # share of the average that is kept at the end of the run


class Lookahead:
    """The slow average of a model's float arrays, the running statistics of batch norm among them."""

    def __init__(self, tensors: dict[str, Tensor], *, every: int) -> None:
        """Begin with the present values; `every` counts steps."""
        self.every = every
        self.fast = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
        self.slow = {name: tensor.detach().clone() for name, tensor in self.fast.items()}

    @torch.no_grad()
    def follow(self, *, step: int, steps: int) -> None:
        """After step number `step` (counted from 1) of `steps`; after the last one the weights are the average."""
        last = step >= steps
        if step % self.every and not last:
            return
        if step % self.every == 0:
            self._pull(STRONGEST * (step / steps) ** 3)
        if last:
            self._pull(1.0)

    def restore(self, arrays: dict[str, Tensor]) -> None:
        """Take up the average that a checkpoint holds."""
        for name, tensor in self.slow.items():
            tensor.copy_(arrays[name])

    def _pull(self, kept: float) -> None:
        slow, fast = list(self.slow.values()), list(self.fast.values())
        torch._foreach_lerp_(slow, fast, 1 - kept)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_copy_(fast, slow)  # pyright: ignore[reportPrivateImportUsage]
