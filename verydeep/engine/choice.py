"""What is said about the engine that computes."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

EngineName: TypeAlias = Literal["auto", "verydeep", "pytorch"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that computes, and why it is not ours.

    Attributes:
        engine: "verydeep", "pytorch", or the backend of a model that PyTorch does not compute either, as "keras".
        name: The same with what decides the bits: "verydeep avx512 float32".
        reason: Why our kernels do not compute; empty where they do, or nobody wanted them.
    """

    engine: str
    name: str
    reason: str = ""
