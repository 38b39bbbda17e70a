"""The compiled kernels as Python sees them: the plain C face of native/kernels.h, loaded by ctypes.

A call of a kernel holds no lock of Python's, so that threads compute side by side. What the kernels keep (threads that
wait for work) is theirs to renew after a fork; nothing here changes once it is loaded.
"""

import ctypes
import os
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path

from verydeep.errors import ConfigError, choices

LIBRARY = Path(__file__).with_name("_kernels.so")
REASON = Path(__file__).with_name("_kernels.txt")  # what the build left where it could not compile: one line
VARIABLE = "VERYDEEP_ISA"  # forces an instruction set
INSTRUCTION_SETS = ("avx512vnni", "avx512", "avx2", "neon", "generic")

OK, UNSUPPORTED = 0, 1  # what a kernel returns
FLOAT32, BFLOAT16, INT16, INT8 = 0, 1, 2, 3  # how packed weights are stored
TYPE_NAMES = {FLOAT32: "float32", BFLOAT16: "bf16", INT16: "int16", INT8: "int8"}
LEVELS = 255  # above 0, of the inputs of a direct convolution of 8-bit integers; as in native/direct.h
DIRECT = 0  # a method of convolution; every other number m is Winograd's, of m x m outputs
NO_POOL, POOL_FLOOR, POOL_CEIL = 0, 1, 2
MAXIMUM, MEAN = 0, 1


class Map(ctypes.Structure):
    """vd_map: images of h x w pixels of c channels each; `pixel` floats from one pixel to the next."""

    _fields_ = (("data", c_void_p), ("n", c_int64), ("h", c_int64), ("w", c_int64), ("c", c_int64), ("pixel", c_int64))


class ConvArguments(ctypes.Structure):
    """vd_conv_args."""

    _fields_ = (
        ("x", Map),
        ("y", Map),
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("add", c_void_p),
        ("add_pixel", c_int64),
        ("kernel", c_int64 * 2),
        ("stride", c_int64 * 2),
        ("dilation", c_int64 * 2),
        ("padding", c_int64 * 4),
        ("groups", c_int64),
        ("method", c_int32),
        ("type", c_int32),
        ("relu", c_int32),
        ("pool", c_int32),
        ("workspace", c_void_p),
        ("workspace_bytes", c_int64),
        ("threads", c_int32),
        ("largest", c_float),
    )


_MAP, _CONV, _SIZES = POINTER(Map), POINTER(ConvArguments), POINTER(c_int64)
_FACE = {  # function: what it returns, what it takes
    "vd_isa": (c_char_p, ()),
    "vd_isas": (c_char_p, ()),
    "vd_isa_runs_here": (c_int, (c_char_p,)),
    "vd_use_isa": (c_int, (c_char_p,)),
    "vd_share_with": (None, (c_void_p,)),
    "vd_conv_method": (c_int, (_CONV,)),
    "vd_conv_gains_by_bytes": (c_int, (_CONV,)),
    "vd_conv_packed_bytes": (c_int64, (c_int64, c_int64, _CONV)),
    "vd_conv_pack": (c_int, (c_void_p, c_int64, c_int64, _CONV, c_void_p)),
    "vd_conv_workspace_bytes": (c_int64, (_CONV,)),
    "vd_conv_pack_strided": (c_int, (c_void_p, _SIZES, c_int64, c_int64, _CONV, c_void_p)),
    "vd_conv": (c_int, (_CONV,)),
    "vd_conv_gradient_workspace_bytes": (c_int64, (_CONV,)),
    "vd_conv_gradient": (c_int, (_CONV, c_void_p, _SIZES)),
    "vd_pool": (c_int, (_MAP, _MAP, c_int32, _SIZES, _SIZES, _SIZES, c_int32)),
    "vd_max_pool2x2": (c_int, (c_void_p, _SIZES, c_void_p, c_void_p, c_int32, c_int32, c_int32)),
    "vd_max_pool2x2_gradient": (c_int, (c_void_p, c_void_p, _SIZES, c_void_p, c_int32, c_int32)),
    "vd_linear": (
        c_int,
        (c_void_p, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int32, c_int32, c_int32),
    ),
    "vd_int8_bytes": (c_int64, (c_int64, c_int64)),
    "vd_to_int8": (None, (c_void_p, c_void_p, c_int64, c_int64, c_int32)),
    "vd_to_bfloat16": (None, (c_void_p, c_void_p, c_int64, c_int32)),
    "vd_affine": (c_int, (_MAP, _MAP, c_void_p, c_void_p, c_int32, c_int32)),
    "vd_add": (c_int, (_MAP, _MAP, _MAP, c_int32, c_int32)),
    "vd_tanh": (c_int, (_MAP, _MAP, c_int32)),
    "vd_lrn": (c_int, (_MAP, _MAP, c_int64, c_float, c_float, c_float, c_int32)),
    "vd_from_planes": (c_int, (c_void_p, _MAP, c_int32)),
    "vd_to_planes": (c_int, (_MAP, c_void_p, c_int32)),
}


def why_not() -> str | None:
    """One line that says why the kernels cannot run here, None where they can."""
    try:
        load()
    except ConfigError as error:
        if error.code != "ENGINE-UNAVAILABLE":
            raise
        return error.message
    return None


def instruction_sets() -> tuple[str, ...]:
    """Those of this processor for which the kernels are compiled, best first; () without kernels."""
    return () if why_not() is not None else _runnable(load())


def active() -> str:
    """The instruction set that runs: one of INSTRUCTION_SETS.

    Raises:
        ConfigError: the kernels cannot run here, or VERYDEEP_ISA names a set that cannot.
    """
    return load().vd_isa().decode()


@cache
def load() -> ctypes.CDLL:
    """The library, every function declared; VERYDEEP_ISA is obeyed when it is loaded.

    Raises:
        ConfigError: code ENGINE-UNAVAILABLE, the kernels cannot run here; ISA-UNAVAILABLE, VERYDEEP_ISA names a set
            that is unknown, or that was not compiled, or that this processor lacks.
    """
    try:
        library = ctypes.CDLL(str(LIBRARY))
        for name, (result, arguments) in _FACE.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except OSError as error:
        raise _unavailable(_reason() or str(error)) from None
    except AttributeError as error:
        raise _unavailable(f"{LIBRARY} is of another version: {error}") from None
    if not _runnable(library):
        raise _unavailable(f"this processor has none of {library.vd_isas().decode().replace(' ', ', ')}")
    if forced := os.environ.get(VARIABLE):
        _use(library, forced)
    return library


def _use(library: ctypes.CDLL, name: str) -> None:
    if name not in INSTRUCTION_SETS:
        raise ConfigError(
            f"{VARIABLE} is {name!r}, no instruction set", code="ISA-UNAVAILABLE", hint=choices(name, INSTRUCTION_SETS)
        )
    if library.vd_use_isa(name.encode()) != OK:
        raise ConfigError(
            f"{VARIABLE} is {name}, which cannot run here",
            code="ISA-UNAVAILABLE",
            hint=f"Unset it, or choose from {', '.join(_runnable(library))}.",
        )


def _runnable(library: ctypes.CDLL) -> tuple[str, ...]:
    compiled = library.vd_isas().decode().split()
    return tuple(name for name in compiled if library.vd_isa_runs_here(name.encode()))


def _reason() -> str:
    """Why the build left no library."""
    if LIBRARY.exists():
        return ""
    if REASON.is_file():
        return f"the kernels were not compiled: {REASON.read_text(encoding='utf-8').strip()}"
    return "the kernels were not compiled"


def _unavailable(why: str) -> ConfigError:
    return ConfigError(
        why,
        code="ENGINE-UNAVAILABLE",
        hint="PyTorch runs every network; a C++ compiler and pip install give the kernels.",
    )
