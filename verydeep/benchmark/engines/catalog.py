"""The engines by name: where each is, in which precisions it computes, and why it cannot run here if it cannot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from os import environ
from shutil import which
from typing import Any

from verydeep import extras
from verydeep.benchmark.engines.task import task_of
from verydeep.benchmark.ready import Ready
from verydeep.errors import ConfigError, choices

PRECISIONS = ("float32", "bf16", "int8")
COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to compute a network."""

    loader: str  # "module:function", from a Task to a Ready
    precisions: tuple[str, ...]
    packages: tuple[str, ...]  # that it imports
    install: str  # what brings them
    lacks: Callable[[], str | None] = lambda: None  # what else is missing here


def _no_kernels() -> str | None:
    """Why our own kernels cannot run here."""
    try:
        library = import_module("verydeep.engine.library")
    except ModuleNotFoundError as error:
        return f"this installation has no {error.name}"
    return library.why_not()


def _no_compiler() -> str | None:
    found = environ.get("CXX") or next(filter(which, COMPILERS), None)
    return None if found else "torch.compile needs a C++ compiler, and there is none"


_HERE = "verydeep.benchmark.engines"
ENGINES: Mapping[str, Engine] = {
    "verydeep": Engine(
        f"{_HERE}.ours:load", ("float32", "bf16", "int8"), ("torch",), extras.INSTALL["pytorch"], _no_kernels
    ),
    "torch": Engine(f"{_HERE}.torch_cpu:eager", ("float32", "bf16"), ("torch",), extras.INSTALL["pytorch"]),
    "torch-channels-last": Engine(
        f"{_HERE}.torch_cpu:channels_last", ("float32", "bf16"), ("torch",), extras.INSTALL["pytorch"]
    ),
    "torch-compile": Engine(
        f"{_HERE}.torch_cpu:compiled", ("float32", "bf16"), ("torch",), extras.INSTALL["pytorch"], _no_compiler
    ),
    "onnxruntime": Engine(
        f"{_HERE}.onnxruntime_cpu:load", ("float32", "int8"), ("onnx", "onnxruntime"), extras.INSTALL["onnx"]
    ),
    "openvino": Engine(
        f"{_HERE}.openvino_cpu:load", PRECISIONS, ("onnx", "onnxruntime", "openvino"), extras.INSTALL["openvino"]
    ),
    "ncnn": Engine(f"{_HERE}.ncnn_cpu:load", ("float32", "bf16"), ("ncnn",), "pip install ncnn"),
}


def why_not(name: str, *, precision: str) -> str | None:
    """Why an engine cannot run here in a precision, in one line; None where it can."""
    engine = ENGINES[name]
    if precision not in engine.precisions:
        return f"it does not compute in {precision}, but in {' and '.join(engine.precisions)}"
    missing = [package for package in engine.packages if find_spec(package) is None]
    if name == "openvino" and precision == "int8" and find_spec("nncf") is None:
        missing.append("nncf")
    if missing:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; run: {engine.install}"
    return engine.lacks()


def known(names: Sequence[str]) -> tuple[str, ...]:
    """`names` once each, in their order.

    Raises:
        ConfigError: code ENGINE-UNKNOWN; no engine has one of these names.
    """
    for name in names:
        if name not in ENGINES:
            raise ConfigError(f"there is no engine {name!r}", code="ENGINE-UNKNOWN", hint=choices(name, ENGINES))
    return tuple(dict.fromkeys(names))


def make(job: Mapping[str, Any]) -> Ready:
    """The engine that a job names, with the job's network and images; called in a process of a contest."""
    module, _, function = ENGINES[job["engine"]].loader.partition(":")
    return getattr(import_module(module), function)(task_of(job))


def make_reference(job: Mapping[str, Any]) -> Ready:
    """PyTorch in float64 with a job's network and images: what engines are held to."""
    from verydeep.benchmark.engines.torch_cpu import reference

    return reference(task_of(job))
