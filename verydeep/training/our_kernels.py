"""Our kernels beside PyTorch's in training: where they were measured, on the same threads, and never refused."""

import ctypes
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from verydeep.engine import library
from verydeep.errors import VerydeepError

MEASURED = ("avx512vnni", "avx512", "avx2")  # the instruction sets with which ours were found to be quicker


def are_quicker() -> bool:
    """Whether our kernels run here, with instructions with which they were measured."""
    return library.why_not() is None and library.active() in MEASURED


def refuse_instructions() -> None:
    """Before a run makes a folder: whether `VERYDEEP_ISA` is obeyed at all.

    Raises:
        ConfigError: code ISA-UNAVAILABLE, it names what cannot run here.
    """
    library.why_not()


def take(tensor: Tensor) -> bool:
    """Whether a kernel can read a tensor where it lies: not in a compiler, and not one that only pretends."""
    if torch.compiler.is_compiling():
        return False
    return type(tensor) in (Tensor, torch.nn.Parameter) and tensor.device.type == "cpu"


@cache
def share_threads() -> None:
    """Let our kernels compute on PyTorch's threads, which keep a core busy for a while after each operation.

    Raises:
        ConfigError: the kernels cannot run here.
    """
    maps = Path("/proc/self/maps")
    lines = maps.read_text(errors="surrogateescape").splitlines() if maps.exists() else []
    paths = {line.split(maxsplit=5)[5] for line in lines if "libgomp" in line}
    if len(paths) != 1:
        return
    with suppress(OSError, AttributeError):  # it was replaced since it was loaded, or is not what it is called
        library.load().vd_share_with(ctypes.cast(ctypes.CDLL(paths.pop()).GOMP_parallel, ctypes.c_void_p))


def check(answer: int) -> None:
    """Nothing where a kernel has computed.

    Raises:
        VerydeepError: it has not; it is only asked for what it takes, so that is our fault.
    """
    if answer != library.OK:
        raise VerydeepError(
            f"a kernel refuses with {answer} what it should take",
            code="INTERNAL",
            hint="This is a fault of verydeep: report it with the network and the size of the images.",
        )
