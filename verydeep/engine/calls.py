"""A plan made ready for a number of images: the kernels' arguments filled in once, then only called."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, TypeAlias, assert_never, final

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from verydeep.engine import library
from verydeep.engine.forms import Form, Forms, aligned
from verydeep.engine.library import ConvArguments, Map
from verydeep.engine.place import View
from verydeep.engine.plan import Plan, Step
from verydeep.engine.pytorch_steps import compute
from verydeep.errors import VerydeepError
from verydeep.spec import LRN, Conv, Linear, Pool

Call: TypeAlias = Callable[[], int]

PYTORCH = "pytorch"  # the kernel of a step that ours do not take
FLOAT = 4  # bytes
CACHED = 16 * 2**20  # bytes of maps that a processor's last cache holds beside the weights


@dataclass(slots=True)
class Memory:
    """What a call computes in: the maps, and the kernels' own notes; grows, and is used by one call at a time."""

    maps: npt.NDArray[np.uint8]
    notes: npt.NDArray[np.uint8]

    def reserve(self, *, maps: int, notes: int) -> None:
        """Have at least so many bytes of each."""
        if self.maps.size < maps:
            self.maps = aligned(maps)
        if self.notes.size < notes:
            self.notes = aligned(notes)


@dataclass(frozen=True, slots=True)
class _Place:
    """A pointer among the arguments, and where in a buffer it points."""

    holder: Any
    attribute: str
    buffer: int
    offset: int  # bytes

    def point(self, bases: list[int]) -> None:
        setattr(self.holder, self.attribute, bases[self.buffer] + self.offset)


@final
class Calls:
    """The calls of a plan for `n` images. Not for several threads at once.

    The first steps take one image after the other: their maps are larger than their weights, and those of one image
    stay in the cache where those of a batch would not. The others take all, and read their weights once.
    """

    def __init__(self, plan: Plan, n: int, *, kernels: Any, forms: Forms, threads: int) -> None:
        self._plan, self._n, self._kernels, self._threads = plan, n, kernels, threads
        head = _head(plan, n)
        self._each = Part(plan.steps[:head], 1, kernels=kernels, forms=forms, threads=threads)
        self._all = Part(plan.steps[head:], n, kernels=kernels, forms=forms, threads=threads)
        needed_later = {view.buffer for step in plan.steps[head:] for view in step.views}
        outputs = {output.buffer for output in plan.outputs.values()}
        self._lasting = needed_later | outputs  # the others hold one image at a time while the first steps compute
        self._images = Map(None, 1 if head else n, *plan.images[1:], plan.images[0], plan.images[0])
        self._begin_each = FLOAT * n * plan.size
        self.map_bytes = FLOAT * plan.size * (n + 1 if head else n)
        self.note_bytes = max(self._each.note_bytes, self._all.note_bytes)

    def kernels(self) -> list[str]:
        """What computes each step, as far as it is known before the first run."""
        return [*self._each.kernels(), *self._all.kernels()]

    def run(self, images: int, outputs: dict[int, int], *, memory: Memory, from_planes: bool) -> None:
        """Compute.

        Args:
            images: Address of the images.
            outputs: Address of each buffer that is the caller's.
            memory: Where maps are; nothing in it is needed afterwards.
            from_planes: The images are (n, c, h, w) in memory, not (n, h, w, c).
        """
        memory.reserve(maps=self.map_bytes, notes=self.note_bytes)
        begin, notes = memory.maps.ctypes.data, memory.notes.ctypes.data
        bases = [begin + FLOAT * self._n * (offset or 0) for offset in self._plan.offsets]
        for buffer, address in outputs.items():
            bases[buffer] = address
        if self._each.steps:
            one = begin + self._begin_each
            for image in range(self._n):
                moved = [
                    base + FLOAT * image * size if buffer in self._lasting else one + FLOAT * (offset or 0)
                    for buffer, (base, size, offset) in enumerate(
                        zip(bases, self._plan.sizes, self._plan.offsets, strict=True)
                    )
                ]
                self._take(images + FLOAT * image * self._plan.sizes[0], moved, from_planes=from_planes)
                self._each.run(moved, notes)
        else:
            self._take(images, bases, from_planes=from_planes)
        self._all.run(bases, notes)

    def _take(self, images: int, bases: list[int], *, from_planes: bool) -> None:
        """Have the images where the steps look for them: buffer 0."""
        if not from_planes:
            bases[0] = images
            return
        self._images.data, n, (c, h, w) = bases[0], self._images.n, self._plan.images
        if self._kernels.vd_from_planes(images, self._images, self._threads) != library.OK:
            planes = torch.from_numpy(_numbers(images, n * c * h * w).reshape(n, c, h, w))
            torch.from_numpy(_array(View(0, 0, (c, h, w), c), bases[0], n)).copy_(planes)


def _head(plan: Plan, n: int) -> int:
    """How many of the first steps take one image after the other: none where the maps of all fit into a cache."""
    head = 0
    if n == 1:
        return head
    for number, step in enumerate(plan.steps, start=1):
        maps = FLOAT * sum(prod(view.shape) for view in step.views)
        if step.kernel == "product" or n * maps < CACHED:
            break
        first = step.layers[0] if step.layers else None
        # Winograd's tiles store up to seven times the weights of the kernel; F(4x4, 3x3) four times.
        if isinstance(first, Conv) and maps < 4 * FLOAT * prod(first.kernel) * first.channels * step.reads[0].shape[0]:
            break
        head = number
    read_later = any(view.buffer == 0 for step in plan.steps[head:] for view in step.views)
    return 0 if read_later else head


@final
class Part:
    """Neighbouring steps of a plan, ready to be called for `count` images."""

    def __init__(self, steps: tuple[Step, ...], count: int, *, kernels: Any, forms: Forms, threads: int) -> None:
        self.steps = steps
        self._n, self._kernels, self._forms, self._threads = count, kernels, forms, threads
        self._places: list[_Place] = []
        self._convolutions: list[ConvArguments] = []
        self._forms_in_use: dict[int, Form] = {}  # by step
        self._bases: list[int] = []
        self._notes = 0
        self._calls = [self._call(number, step) for number, step in enumerate(steps)]
        self.note_bytes = max((convolution.workspace_bytes for convolution in self._convolutions), default=0)

    def kernels(self) -> list[str]:
        """What computes each step, as far as it is known before the first run."""
        return [
            PYTORCH if call is None else self._name(number, self.steps[number])
            for number, call in enumerate(self._calls)
        ]

    def run(self, bases: list[int], notes: int) -> None:
        """Compute: each buffer begins at the address that `bases` has for it, the kernels' notes at `notes`."""
        self._point(bases, notes)
        for number, call in enumerate(self._calls):
            if call is not None:
                done = call()
                if done == library.OK:
                    continue
                if done != library.UNSUPPORTED:
                    raise _refused(self.steps[number], done)
                self._calls[number] = None
            self._in_pytorch(self.steps[number])

    def _point(self, bases: list[int], notes: int) -> None:
        """Point everything there that does not point there yet."""
        # What is interrupted here leaves no record, so that the next call points everything anew.
        before, self._bases = self._bases or [0] * len(bases), []
        for place in self._places:
            if bases[place.buffer] != before[place.buffer]:
                place.point(bases)
        if notes != self._notes:
            self._notes = 0
            for convolution in self._convolutions:
                convolution.workspace = notes
        self._bases, self._notes = bases, notes

    def _call(self, number: int, step: Step) -> Call | None:
        """The kernel's call, None where no kernel takes the step."""
        kernels, threads, relu = self._kernels, self._threads, int(step.relu)
        match step.kernel:
            case "convolution":
                return self._convolution(number, step)
            case "product":
                return self._product(number, step)
            case "pool":
                return self._pool(step)
            case "affine":
                scale, shift = (None, None) if step.norm is None else self._forms.affine(step.norm)
                return partial(kernels.vd_affine, *self._maps(step), _address(scale), _address(shift), relu, threads)
            case "copy":
                return partial(kernels.vd_affine, *self._maps(step), None, None, 0, threads)
            case "add":
                return partial(kernels.vd_add, *self._maps(step), relu, threads)
            case "tanh":
                return partial(kernels.vd_tanh, *self._maps(step), threads)
            case "lrn":
                layer = step.layers[0]
                assert isinstance(layer, LRN)
                numbers = (layer.size, layer.alpha, layer.beta, layer.k)
                return partial(kernels.vd_lrn, *self._maps(step), *numbers, threads)
            case "planes":
                x, planes = self._map(step.reads[0]), self._pointer(step.writes)
                return partial(kernels.vd_to_planes, x, planes, threads)
            case "zeros":
                return lambda: self._fill(step.writes)
        assert_never(step.kernel)

    def _convolution(self, number: int, step: Step) -> Call | None:
        layer = step.layers[0]
        assert isinstance(layer, Conv)
        arguments = convolution(layer, threads=self._threads)
        self._fill_map(arguments.x, step.reads[0])
        self._fill_map(arguments.y, step.writes)
        arguments.method, arguments.relu = step.method, int(step.relu)
        if step.pool is not None:
            arguments.pool = library.POOL_CEIL if step.pool.rounding == "ceil" else library.POOL_FLOOR
        if step.added is not None:
            arguments.add_pixel = step.added.pixel
            self._places.append(_Place(arguments, "add", step.added.buffer, FLOAT * step.added.channel))
        form = self._forms.packed(layer, step.norm, arguments)
        if form is None:
            return None
        self._forms_in_use[number] = form
        arguments.weights = form.address
        arguments.bias = _address(self._forms.bias(layer, step.norm))
        arguments.workspace_bytes = self._kernels.vd_conv_workspace_bytes(ctypes.byref(arguments))
        if arguments.workspace_bytes < 0:
            return None
        self._convolutions.append(arguments)
        return partial(self._kernels.vd_conv, arguments)

    def _product(self, number: int, step: Step) -> Call:
        layer = step.layers[0]
        assert isinstance(layer, Conv | Linear)
        form = self._forms.rows(layer, step.norm, threads=self._threads)
        self._forms_in_use[number] = form
        x, y = self._pointer(step.reads[0]), self._pointer(step.writes)
        bias = _address(self._forms.bias(layer, step.norm))
        inputs, outputs = step.reads[0].shape[0], step.writes.shape[0]
        return partial(
            self._kernels.vd_linear,
            *(x, form.address, bias, y, self._n, inputs, outputs),
            *(form.type, int(step.relu), self._threads),
        )

    def _pool(self, step: Step) -> Call:
        layer, (x, y) = step.layers[0], self._maps(step)
        assert isinstance(layer, Pool)
        pooling = library.MAXIMUM if layer.pooling == "max" else library.MEAN
        pairs = (layer.kernel or (x.h, x.w), layer.stride, (layer.padding[0][0], layer.padding[1][0]))
        kernel, stride, padding = ((ctypes.c_int64 * 2)(*pair) for pair in pairs)
        return partial(self._kernels.vd_pool, x, y, pooling, kernel, stride, padding, self._threads)

    def _maps(self, step: Step) -> tuple[Map, ...]:
        """What the step reads, and what it writes."""
        return tuple(self._map(view) for view in (*step.reads, step.writes))

    def _map(self, view: View) -> Map:
        return self._fill_map(Map(), view)

    def _fill_map(self, map: Map, view: View) -> Map:
        map.n, map.pixel = self._n, view.pixel
        map.c, map.h, map.w = view.shape
        self._places.append(_Place(map, "data", view.buffer, FLOAT * view.channel))
        return map

    def _pointer(self, view: View) -> ctypes.c_void_p:
        pointer = ctypes.c_void_p()
        self._places.append(_Place(pointer, "value", view.buffer, FLOAT * view.channel))
        return pointer

    def _in_pytorch(self, step: Step) -> None:
        reads = tuple(self._tensor(view) for view in step.reads)
        added = None if step.added is None else self._tensor(step.added)
        self._tensor(step.writes).copy_(compute(step, reads, self._forms, added=added, threads=self._threads))

    def _fill(self, view: View) -> int:
        _array(view, self._bases[view.buffer], self._n)[...] = 0
        return library.OK

    def _tensor(self, view: View) -> Tensor:
        return torch.from_numpy(_array(view, self._bases[view.buffer], self._n))

    def _name(self, number: int, step: Step) -> str:
        """The kernel of a step, and how its weights are stored if not in float32."""
        form, layer = self._forms_in_use.get(number), step.layers[0] if step.layers else None
        stored = "" if form is None or form.type == library.FLOAT32 else f", {library.TYPE_NAMES[form.type]}"
        if step.kernel != "convolution":
            return f"{step.kernel}{stored}"
        if step.method == library.DIRECT:
            return f"direct{stored}"
        assert isinstance(layer, Conv)
        return f"winograd F({step.method}x{step.method}, {layer.kernel[0]}x{layer.kernel[1]}){stored}"


def convolution(layer: Conv, *, threads: int) -> ConvArguments:
    """What the kernels must know of a convolution, whatever it reads and writes."""
    arguments = ConvArguments()
    for name in ("kernel", "stride", "dilation"):
        getattr(arguments, name)[:] = getattr(layer, name)
    arguments.padding[:] = (*layer.padding[0], *layer.padding[1])
    arguments.groups, arguments.threads = layer.groups, threads
    return arguments


def _array(view: View, address: int, n: int) -> npt.NDArray[np.float32]:
    """The map (n, c, h, w) itself, not a copy; its buffer begins at `address`."""
    c, h, w = view.shape
    numbers = _numbers(address + FLOAT * view.channel, (n * h * w - 1) * view.pixel + c)
    strides = (h * w * view.pixel, 1, w * view.pixel, view.pixel)
    return as_strided(numbers, (n, c, h, w), tuple(FLOAT * stride for stride in strides))


def _numbers(address: int, count: int) -> npt.NDArray[np.float32]:
    """The numbers in memory that somebody else keeps alive."""
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))


def _address(array: npt.NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


def _refused(step: Step, answer: int) -> VerydeepError:
    names = "+".join(layer.name for layer in step.layers)
    return VerydeepError(
        f"{names}: the kernel {step.kernel} refuses with {answer} what it was planned for",
        code="INTERNAL",
        hint="This is a fault of verydeep: report it with the network and the size of the images.",
    )
