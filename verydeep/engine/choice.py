"""The engine that computes: its name, and the reason where it is not ours."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, final, get_args

from verydeep.errors import ConfigError, choices

EngineName: TypeAlias = Literal["auto", "verydeep", "pytorch"]


@final
@dataclass(frozen=True, slots=True)
class EngineInUse:
    """What computes a model of any framework.

    Attributes:
        engine: "verydeep" (our kernels), or the framework: "pytorch", "keras", "flax", "mxnet", "onnx".
        name: The same with what decides the bits: "verydeep avx512 float32".
        reason: Why our kernels do not compute; empty where they do, or where the framework was asked for.
    """

    engine: str
    name: str
    reason: str = ""


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """The same for a network of which both are asked; the reason why PyTorch computes, where nobody asked for it."""

    engine: Literal["verydeep", "pytorch"]
    name: str
    reason: str = ""


def check_engine(name: str) -> None:
    """Nothing for the name of an engine, or "auto".

    Raises:
        ConfigError: code ENGINE-UNKNOWN, there is none of this name.
    """
    if name not in get_args(EngineName):
        raise ConfigError(
            f"there is no engine {name!r}", code="ENGINE-UNKNOWN", hint=choices(str(name), get_args(EngineName))
        )
