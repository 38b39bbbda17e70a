"""The engine: a network for inference on a CPU, every layer in a compiled kernel where there is one."""

import os
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from threading import Lock
from typing import Any, TypeAlias, TypeVar, final, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from verydeep.backends import pytorch, refusals
from verydeep.engine import library
from verydeep.engine.calls import FLOAT, Calls, Memory, convolution
from verydeep.engine.forms import Forms, Precision, aligned
from verydeep.engine.images import Images, Placed, placed
from verydeep.engine.library import ConvArguments
from verydeep.engine.module import as_module
from verydeep.engine.place import MapShape, as_map
from verydeep.engine.plan import Plan, lower
from verydeep.engine.values import reads_without_negatives
from verydeep.errors import ConfigError, choices
from verydeep.rewrite.cut import resize, until
from verydeep.spec import BatchNorm, Conv, Linear, Network, walk
from verydeep.weights.fit import refuse_misfit, shapes

Key = TypeVar("Key")
Kept = TypeVar("Kept")
Size: TypeAlias = tuple[int, int]
Taps: TypeAlias = tuple[str, ...]
PlanKey: TypeAlias = tuple[Size, Taps, str]  # the images' size, the layers, the instruction set
CallsKey: TypeAlias = tuple[PlanKey, int, int]  # and how many images, and threads

MOST_BYTES = 2**29  # of maps at once; a larger batch is computed in parts
PRODUCTS = {"float32": library.FLOAT32, "bf16": library.INT16, "int8": library.INT8}  # of convolutions
LEAST, MOST = 1e-30, 1e38  # of the ranges of 8-bit integers, whose units are float32
MOST_PLANS = 32  # that are kept: sizes of images times choices of layers

_making = Lock()  # held while a plan or a form is made; a forked child gets a new one, since nobody there would open it


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of an engine: the layers that it computes, by what, and the shape (n, c, h, w) of what it writes."""

    layers: tuple[str, ...]
    kernel: str  # "pytorch" where none of ours takes the step
    output: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'+'.join(self.layers) or 'images'}: {self.kernel}, {'x'.join(map(str, self.output))}"


@dataclass(slots=True)
class _Desk:
    """A place to compute for one call at a time: memory, and the calls that are ready to run there."""

    memory: Memory = field(default_factory=lambda: Memory(aligned(0), aligned(0)))
    calls: OrderedDict[CallsKey, Calls] = field(default_factory=OrderedDict)


@final
class Engine:
    """A network in evaluation, on the CPU, in the compiled kernels: ``vd.Engine(network, weights)(images)``.

    Batch norm is folded into the layers before it, dropout has gone. The bits of an image's results depend neither on
    the number of threads nor on the other images of the batch. Several threads may call at once, and so may a forked
    process. The arrays of linear layers are used where they are, without a copy: change them and the engine changes;
    make a new engine after you changed any weights.
    """

    def __init__(
        self,
        network: Network,
        weights: Mapping[str, npt.NDArray[Any]],
        *,
        precision: Precision = "float32",
        ranges: Mapping[str, float] | None = None,
        threads: int | None = None,
    ) -> None:
        """Nothing is computed yet; the first call for a size packs the weights.

        Args:
            network: Takes images of any size that its layers allow; see `verydeep.dense`.
            weights: Arrays by canonical name, float32; a mapped file stays where it is.
            precision: "float32": errors below 1e-5 of the largest logit. "bf16": below 1e-2, by products of 16 bits: of
                integers in Winograd's domain, of bfloat16 weights in linear layers. "int8": the same, but weights of
                linear layers in 8 bits, and both factors where `ranges` allow it and it is faster: a few 1e-2. Maps are
                float32 always.
            ranges: For "int8", from `verydeep.calibrate`: the largest input of each convolution that may compute with
                8-bit integers. What is larger is cut off. None: no convolution does.
            threads: That compute; None is as many as PyTorch uses.

        Raises:
            ConfigError: code ENGINE-UNAVAILABLE, the kernels cannot run here; OPTION-VALUE, there is no such precision
                or number of threads, or `ranges` are not for "int8", or name what is no convolution or one that may
                read negative numbers, or are no numbers from 1e-30 to 1e38.
            WeightsError: `weights` are not those of the network.
        """
        if precision not in get_args(Precision):
            raise ConfigError(
                f"precision is {precision!r}", code="OPTION-VALUE", hint=f"Choose {' or '.join(get_args(Precision))}."
            )
        if threads is not None and threads < 1:
            raise ConfigError(f"threads must be 1 or more, got {threads}", code="OPTION-VALUE")
        _refuse_ranges(ranges, network, precision=precision)
        refuse_misfit(shapes(network), weights, of=network.name)
        self._kernels: Any = library.load()
        self._network, self._precision, self._threads = network, precision, threads
        names = [step.layer.name for step in walk(network)]
        self._layers, self._last = frozenset(names), names[-1]
        self._forms = Forms(
            weights,
            normed=_normed(network),
            kernels=self._kernels,
            precision=precision,
            ranges=self._ranges_that_gain(ranges or {}),
        )
        self._plans: OrderedDict[PlanKey, Plan] = OrderedDict()
        self._desks: deque[_Desk] = deque()

    @classmethod
    def of(
        cls,
        model: nn.Module,
        *,
        precision: Precision = "float32",
        ranges: Mapping[str, float] | None = None,
        threads: int | None = None,
    ) -> "Engine":
        """The engine of a PyTorch model that `verydeep.build` gave, with the weights that it has now.

        Raises:
            ConfigError: the model is not what `build` gave, or is not float32 on the CPU; or as for `Engine`.
        """
        network = pytorch.network_of(model)
        tensors = {name: tensor.detach() for name, tensor in pytorch.tensors(model).items()}
        for name, tensor in tensors.items():
            if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
                raise ConfigError(
                    f"{name} is {tensor.dtype} on {tensor.device}, and the engine computes float32 on the CPU",
                    code="ENGINE-MODEL",
                    hint="Call model.float().cpu() first, or let PyTorch run it.",
                )
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return cls(network, arrays, precision=precision, ranges=ranges, threads=threads)

    @property
    def name(self) -> str:
        """What runs: ``verydeep avx512 float32``."""
        return f"verydeep {library.active()} {self._precision}"

    def __repr__(self) -> str:
        """``<verydeep avx512 float32: vgg16>``."""
        return f"<{self.name}: {self._network.name}>"

    @property
    def network(self) -> Network:
        """The description of the network."""
        return self._network

    @property
    def threads(self) -> int:
        """The threads that the next call computes with."""
        return self._threads or torch.get_num_threads()

    def __call__(self, images: Images) -> Any:
        """The output of the last layer, (n, classes) or (n, channels, height, width).

        Args:
            images: (n, channels, height, width), preprocessed, float32, in any order in memory: a tensor, and the
                output is one; or a NumPy array.

        Raises:
            ConfigError: code ENGINE-IMAGES, not such images; SIZE-FIXED, the network takes one size only.
            SpecError: images so small that a layer has nothing to read.
        """
        return self.features(images, self._last)[self._last]

    def features(self, images: Images, layers: str | Iterable[str]) -> dict[str, Any]:
        """The outputs of layers by name; what lies behind the deepest of them is not computed.

        Maps are (n, channels, height, width), channels last in memory.

        Raises:
            ConfigError: no layer has this name; or as in a call.
            SpecError: as in a call.
        """
        batch = placed(images, channels=self._network.input[0])
        named = (layers,) if isinstance(layers, str) else tuple(layers)
        found = self._run(batch, self._taps(named)) if named else {}
        return found if isinstance(images, Tensor) else {name: tensor.numpy() for name, tensor in found.items()}

    def describe(self, shape: tuple[int, ...] | None = None, layers: str | Iterable[str] = ()) -> list[StepReport]:
        """The steps for images of a shape (n, channels, height, width), each with its kernel.

        One image of zeros is computed, so that it is known which steps fall back to PyTorch.

        Args:
            shape: Of the images; None is one image of the network's own size.
            layers: That are tapped; () is the last.

        Raises:
            ConfigError: as in a call.
            SpecError: as in a call.
        """
        shape = (1, *self._network.input) if shape is None else shape
        blank = placed(np.zeros((1, *shape[1:]), np.float32), channels=self._network.input[0])
        key = self._key(blank, self._taps(layers))
        self._run(blank, key[1])
        with self._desk() as desk:
            calls = self._calls(desk, key, n=1)
            return [
                StepReport(tuple(layer.name for layer in step.layers), kernel, (shape[0], *step.writes.shape))
                for step, kernel in zip(self._plan(key).steps, calls.kernels(), strict=True)
            ]

    def map_bytes(self, shape: tuple[int, ...], layers: str | Iterable[str] = ()) -> int:
        """The memory in which images of a shape (n, channels, height, width) are computed: without weights and outputs.

        Raises:
            ConfigError: as in a call.
            SpecError: as in a call.
        """
        blank = placed(np.zeros((1, *shape[1:]), np.float32), channels=self._network.input[0])
        key = self._key(blank, self._taps(layers))
        with self._desk() as desk:
            calls = self._calls(desk, key, n=_at_once(self._plan(key), shape[0]))
            return calls.map_bytes + calls.note_bytes

    def module(self, size: Size | None = None) -> nn.Module:
        """The engine as an `nn.Module` of ordinary operators, which torch.compile and torch.export take.

        Its weights are packed for the instruction set that runs here; another one refuses them.

        Args:
            size: Height and width of the images; None is the network's own.

        Raises:
            ConfigError: as in a call; ENGINE-UNAVAILABLE, no kernel takes one of the convolutions.
            SpecError: as in a call.
        """
        network = self._network if size is None else self._sized(size, (self._last,))
        with _making:
            return as_module(network, self._forms, method=self._method).eval()

    def _taps(self, layers: str | Iterable[str]) -> Taps:
        named = (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
        if not self._layers.issuperset(named):
            return refusals.known(self._network, named)
        return named or (self._last,)

    def _run(self, batch: Placed, taps: Taps) -> dict[str, Tensor]:
        """The outputs, computed in parts of equal size but for the last."""
        key, (n, c, h, w) = self._key(batch, taps), batch.shape
        plan = self._plan(key)
        found = {output.buffer: _empty((n, *output.shape)) for output in plan.outputs.values()}
        at_once = _at_once(plan, n)
        for first in range(0, n, at_once):
            part = min(at_once, n - first)
            with self._desk() as desk:
                self._calls(desk, key, n=part).run(
                    batch.address + FLOAT * first * c * h * w,
                    {
                        buffer: tensor.data_ptr() + FLOAT * first * plan.sizes[buffer]
                        for buffer, tensor in found.items()
                    },
                    memory=desk.memory,
                    from_planes=batch.from_planes,
                )
        return {tap: found[output.buffer].view(n, *output.shape) for tap, output in plan.outputs.items()}

    def _key(self, batch: Placed, taps: Taps) -> PlanKey:
        return batch.shape[2:], taps, library.active()

    def _plan(self, key: PlanKey) -> Plan:
        with _making:
            if key not in self._plans:
                size, taps, _ = key
                self._plans[key] = lower(self._sized(size, taps), taps, method=self._method)
            return _recent(self._plans, key)

    def _sized(self, size: Size, taps: Taps) -> Network:
        """The network for images of this size, as far as it is needed.

        Raises:
            ConfigError: code SIZE-FIXED; a linear layer that is needed has weights for another size.
            SpecError: a layer has nothing to read.
        """
        channels, *own = self._network.input
        if list(size) == own:
            return self._network
        needed = until(self._network, taps)
        sized = resize(needed, (channels, *size))
        if shapes(sized) != shapes(needed):
            raise ConfigError(
                f"{self._network.name} takes images of {own[0]}x{own[1]}, not of {size[0]}x{size[1]}",
                code="SIZE-FIXED",
                hint="Take its dense form, verydeep.dense, for any size, or layers before its first linear one.",
            )
        return sized

    def _method(self, layer: Conv, x: MapShape, y: MapShape) -> int:
        """The fastest for one image and one thread, so that neither the batch nor the threads decide the bits."""
        arguments = _arguments(layer, x, y)
        arguments.type = PRODUCTS[self._precision]
        arguments.largest = self._forms.largest(layer)
        return self._kernels.vd_conv_method(arguments)

    def _ranges_that_gain(self, ranges: Mapping[str, float]) -> dict[str, float]:
        """Those of convolutions that products of 8 bits make faster, by the network's own size."""
        found: dict[str, float] = {}
        for step in walk(self._network):
            if isinstance(step.layer, Conv) and step.layer.name in ranges:
                arguments = _arguments(step.layer, as_map(step.before.shape), as_map(step.after.shape))
                arguments.largest = ranges[step.layer.name]
                if self._kernels.vd_conv_gains_by_bytes(arguments):
                    found[step.layer.name] = ranges[step.layer.name]
        return found

    @contextmanager
    def _desk(self) -> Iterator[_Desk]:
        """A desk that no other call has."""
        try:
            desk = self._desks.pop()
        except IndexError:
            desk = _Desk()
        try:
            yield desk
        finally:
            self._desks.append(desk)

    def _calls(self, desk: _Desk, key: PlanKey, *, n: int) -> Calls:
        plan, threads = self._plan(key), self.threads
        if (key, n, threads) not in desk.calls:
            with _making:
                desk.calls[key, n, threads] = Calls(plan, n, kernels=self._kernels, forms=self._forms, threads=threads)
        return _recent(desk.calls, (key, n, threads))


def _arguments(layer: Conv, x: MapShape, y: MapShape) -> ConvArguments:
    """What methods are compared by: a convolution of one image by one thread."""
    arguments = convolution(layer, threads=1)
    for map, (c, h, w) in ((arguments.x, x), (arguments.y, y)):
        map.n, map.c, map.h, map.w, map.pixel = 1, c, h, w, c
    return arguments


def _refuse_ranges(ranges: Mapping[str, float] | None, network: Network, *, precision: Precision) -> None:
    """ConfigError, code OPTION-VALUE, where `ranges` cannot be what `calibrate` gave for this network."""
    if ranges is None:
        return
    if precision != "int8":
        raise ConfigError(
            f"ranges are for precision int8, not for {precision}", code="OPTION-VALUE", hint="Leave them out."
        )
    if not isinstance(ranges, Mapping):
        raise ConfigError(
            f"ranges are a mapping from layers to numbers, not {type(ranges).__name__}",
            code="OPTION-VALUE",
            hint="Give what verydeep.calibrate gave; json.load reads it from a file.",
        )
    able = reads_without_negatives(network)
    for name, largest in ranges.items():
        if name not in able:
            raise ConfigError(
                f"ranges: {network.name} has no convolution {name!r} whose inputs cannot be negative",
                code="OPTION-VALUE",
                hint=choices(str(name), able),
            )
        if isinstance(largest, bool) or not isinstance(largest, Real) or not LEAST <= largest <= MOST:
            raise ConfigError(
                f"ranges: that of {name} is {largest!r}, no number from {LEAST} to {MOST}",
                code="OPTION-VALUE",
                hint="Give what verydeep.calibrate gives for this network.",
            )


def _normed(network: Network) -> frozenset[str]:
    """The layers with weights of their own that a batch norm stands behind, before the next of them."""
    found, last = set[str](), ""
    for step in walk(network):
        if isinstance(step.layer, Conv | Linear):
            last = step.layer.name
        elif isinstance(step.layer, BatchNorm):
            found.add(last)
    return frozenset(found)


def _at_once(plan: Plan, n: int) -> int:
    """How many of n images are computed together: as many as fit, in parts of one size."""
    fit = max(1, MOST_BYTES // (FLOAT * plan.size))
    return max(1, -(-n // max(1, -(-n // fit))))


def _empty(shape: tuple[int, ...]) -> Tensor:
    """A tensor of this shape, maps with channels last."""
    if len(shape) == 2:
        return torch.empty(shape)
    n, c, h, w = shape
    return torch.empty(n, h, w, c).permute(0, 3, 1, 2)


def _recent(kept: OrderedDict[Key, Kept], key: Key) -> Kept:
    """The entry of `key`, which is now the most recent; the oldest go where there are too many."""
    kept.move_to_end(key)
    while len(kept) > MOST_PLANS:
        kept.popitem(last=False)
    return kept[key]


def _new_lock() -> None:
    global _making  # noqa: PLW0603 - a lock that another thread held while the process was forked stays shut
    _making = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
