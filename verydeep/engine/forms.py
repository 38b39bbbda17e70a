"""A network's weights in the forms that kernels read, each made when a step first asks for it.

Forms of convolutions live as long as a plan that uses them; the arrays they are made from are kept by reference.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from verydeep.engine import pages
from verydeep.engine.library import BFLOAT16, DIRECT, FLOAT32, INT8, INT16, OK, ConvArguments
from verydeep.rewrite.fold import folded_arrays, scale_and_shift
from verydeep.spec import BatchNorm, Conv, Linear

Precision: TypeAlias = Literal["float32", "bf16", "int8"]
Array: TypeAlias = npt.NDArray[Any]
Affine: TypeAlias = tuple[Array, Array]  # scale and shift of each channel

MANY = 2**20  # weights of a direct convolution that are worth storing in half the memory


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Form:
    """Weights as a kernel reads them, and how they are stored: FLOAT32, BFLOAT16, INT16 or INT8."""

    array: Array
    type: int

    @property
    def address(self) -> int:
        """Where they lie."""
        return self.array.ctypes.data


@final
class Forms:
    """The weights of one network. Not for several threads at once."""

    def __init__(
        self,
        arrays: Mapping[str, Array],
        *,
        normed: frozenset[str],
        kernels: Any,
        precision: Precision,
        ranges: Mapping[str, float],
    ) -> None:
        """Nothing is copied or packed yet.

        Args:
            arrays: By canonical name, float32.
            normed: Layers that a batch norm may be folded into.
            kernels: The library.
            precision: What products are computed from. Winograd's are those of 16-bit integers in "bf16" and in "int8":
                F(4x4, 3x3) needs four times fewer, so that they cost less than 8-bit ones without the tiles.
            ranges: The largest input of convolutions that may compute with 8-bit integers, by layer.
        """
        self._arrays = dict(arrays)
        self._normed = normed
        self._kernels = kernels
        self._precision = precision
        self._ranges = dict(ranges)
        self._rows: dict[str, Form] = {}
        self._vectors: dict[str, Array | None] = {}
        self._affine: dict[str, Affine] = {}
        self._packed: WeakValueDictionary[tuple[object, ...], Form] = WeakValueDictionary()

    def weight(self, layer: Conv | Linear, norm: BatchNorm | None) -> Array:
        """(outputs, inputs, ...) in one piece, with `norm` folded in."""
        name = f"{layer.name}.weight"
        arrays = self._arrays if norm is None else folded_arrays(layer, norm, weights=self._arrays)
        return np.require(arrays[name], np.float32, ("C", "A"))

    def bias(self, layer: Conv | Linear, norm: BatchNorm | None) -> Array | None:
        """One number for each output, with `norm` folded in; None where there is nothing to add."""
        key = _key(layer, norm)
        if key not in self._vectors:
            name = f"{layer.name}.bias"
            arrays = self._arrays if norm is None else folded_arrays(layer, norm, weights=self._arrays)
            self._vectors[key] = np.require(arrays[name], np.float32, ("C", "A")) if name in arrays else None
        return self._vectors[key]

    def affine(self, norm: BatchNorm) -> Affine:
        """What a batch norm that stands alone multiplies each channel by, and what it adds."""
        if norm.name not in self._affine:
            scale, shift = scale_and_shift(norm, weights=self._arrays)
            self._affine[norm.name] = scale.astype(np.float32), shift.astype(np.float32)
        return self._affine[norm.name]

    def rows(self, layer: Conv | Linear, norm: BatchNorm | None, *, threads: int) -> Form:
        """The matrix (outputs, inputs) of a linear layer; float32 is the caller's own memory, others a copy."""
        key = _key(layer, norm)
        if key not in self._rows:
            weight = self.weight(layer, norm)
            self._rows[key] = self._stored(weight.reshape(len(weight), -1), threads)
            if self._precision != "float32" and isinstance(layer, Linear) and layer.name not in self._normed:
                del self._arrays[f"{layer.name}.weight"]  # nobody else reads it
        return self._rows[key]

    def largest(self, layer: Conv) -> float:
        """The largest input that 8-bit integers shall tell apart; 0: they are not to be used."""
        return self._ranges.get(layer.name, 0.0)

    def packed(self, layer: Conv, norm: BatchNorm | None, arguments: ConvArguments) -> Form | None:
        """A convolution's weights for the method of `arguments`, whose type is set; None: no kernel takes them."""
        isa = self._kernels.vd_isa()
        key = (_key(layer, norm), arguments.method, isa)
        form = self._packed.get(key)
        if form is None:
            arguments.largest = self.largest(layer)
            form = self._pack(self.weight(layer, norm), arguments)
            if form is None:
                return None
            self._packed[key] = form
        arguments.type = form.type
        return form

    def _pack(self, weight: Array, arguments: ConvArguments) -> Form | None:
        """In the fewest bits that are wanted and that there is a kernel for."""
        for type in self._types(weight, arguments):
            arguments.type = type
            size = self._kernels.vd_conv_packed_bytes(arguments.x.c, len(weight), ctypes.byref(arguments))
            if size <= 0:
                continue
            memory = aligned(size)
            done = self._kernels.vd_conv_pack(
                weight.ctypes.data, arguments.x.c, len(weight), ctypes.byref(arguments), memory.ctypes.data
            )
            if done == OK:
                return Form(memory, type)
        return None

    def _types(self, weight: Array, arguments: ConvArguments) -> tuple[int, ...]:
        """How a convolution's weights may be stored, the best first."""
        if self._precision == "float32":
            return (FLOAT32,)
        if arguments.method != DIRECT:
            return (INT16, FLOAT32)
        floats = (BFLOAT16, FLOAT32) if weight.size >= MANY else (FLOAT32,)
        return (INT8, *floats) if arguments.largest > 0 else floats

    def _stored(self, weight: Array, threads: int) -> Form:
        """A matrix (outputs, inputs) as `vd_linear` reads it."""
        kernels, (outputs, inputs) = self._kernels, weight.shape
        if self._precision == "float32":
            pages.gather(weight)
            return Form(weight, FLOAT32)
        if self._precision == "bf16":
            half = aligned(2 * weight.size).view(np.uint16)
            kernels.vd_to_bfloat16(weight.ctypes.data, half.ctypes.data, weight.size, threads)
            return Form(half, BFLOAT16)
        quarter = aligned(kernels.vd_int8_bytes(inputs, outputs)).view(np.int8)
        kernels.vd_to_int8(weight.ctypes.data, quarter.ctypes.data, inputs, outputs, threads)
        return Form(quarter, INT8)


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Memory of `size` bytes that begins on a cache line."""
    memory = np.empty(size + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    return memory[begin : begin + size]


def _key(layer: Conv | Linear, norm: BatchNorm | None) -> str:
    return layer.name if norm is None else f"{layer.name}+{norm.name}"
