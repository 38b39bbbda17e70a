"""Dense multi-scale descriptors of images, on which transfer rests (arXiv:1409.1556, appendix B).

The last layer is left out, the fully connected ones are convolutions. An image, whatever its shape, is rescaled so that
its smallest side is Q and goes through the network whole; a layer's maps are averaged over places, with those of the
mirror image, and over scales (or stacked); the descriptor is divided by its length.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from verydeep.backends import refusals
from verydeep.data.decode import decode, shown
from verydeep.data.preprocess import apply
from verydeep.engine.choice import EngineName
from verydeep.engine.choose import choose
from verydeep.errors import ConfigError, DataError, NumericalError
from verydeep.preprocessing import Preprocessing
from verydeep.processes import joined
from verydeep.run import Run
from verydeep.spec import Pair
from verydeep.transfer import room
from verydeep.transfer.aggregation import Aggregation, combined, spatial_mean
from verydeep.transfer.dense_taps import DenseTaps, dense_form, dense_taps, penultimate

Source: TypeAlias = str | Path | npt.NDArray[np.uint8]  # a file, or a decoded image [h, w, c]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Descriptors:
    """What layers say of images: float32 (images, features) of each layer, or its maps where nothing is pooled."""

    images: tuple[int, ...]  # which of the sources the rows are
    arrays: Mapping[str, npt.NDArray[np.float32]]  # by layer
    unreadable: Mapping[int, str]  # the other sources, and why
    aggregation: Aggregation
    preprocessing: Preprocessing  # without the rescale and the crop, which the scales take the place of
    engine: str


def describe(
    run: Run,
    sources: Sequence[Source],
    *,
    layers: Sequence[str] = (),
    aggregation: Aggregation | None = None,
    batch: int = 32,
    engine: EngineName = "auto",
    device: str = "cpu",
) -> Descriptors:
    """The descriptors of image files or decoded images.

    Args:
        run: Gives the network, its weights and its preprocessing.
        sources: Images, decoded [h, w, c] with the channels that the network takes, or files.
        layers: By name; () is the last before the classifier, see `penultimate`.
        aggregation: How maps become descriptors; None is the scale of the run's own tests, mirrored, of length 1.
        batch: Images that are read together; those of one shape are computed together.
        engine: That computes, as `verydeep.engine.choose` takes it.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: no such layer, engine or device, a scale below the network's input, or `batch` below 1.
        ResourceError: a scale needs more memory than there is.
        DataError: maps that are not pooled are of several sizes. A file that cannot be read raises nothing.
        NumericalError: a descriptor is not finite.
    """
    if batch < 1:
        raise ConfigError(f"batch must be 1 or more, got {batch}", code="OPTION-VALUE")
    how = aggregation or Aggregation(scales=(own_scale(run),))
    wanted = tuple(layers) or (penultimate(run.network),)
    refuse_impossible(run, how.scales, layers=wanted, sizes=room.sizes(sources))
    with joined(device) as processes, torch.inference_mode():
        choice = choose(engine, device=processes.device)
        taps = dense_taps(run, wanted, choice=choice, device=processes.device)
        rows, unreadable = _rows(taps, sources, how, preprocessing=_whole(run.preprocessing), batch=batch)
    images = tuple(rows)
    arrays = {layer: _stacked([rows[image][layer] for image in images], layer) for layer in taps.layers}
    found = Descriptors(images, arrays, unreadable, how, _whole(run.preprocessing), choice.name)
    _refuse_broken(found, sources)
    return found


def refuse_impossible(run: Run, scales: Sequence[int], *, layers: Sequence[str], sizes: set[Pair]) -> None:
    """Refuse what the network cannot do with images of these sizes; nothing is computed.

    Raises:
        ConfigError: the network has no such layer, or a scale is below its input.
        ResourceError: a scale needs more memory than there is.
    """
    network = dense_form(run.network)
    refusals.known(network, layers)
    room.refuse_small(scales, network)
    room.refuse_large(sizes, network, scales=scales, preprocessing=run.preprocessing)


def own_scale(run: Run) -> int:
    """The smallest side to which the run's own tests rescale an image, or the size that its network reads."""
    return max(run.preprocessing.resize or 0, *run.network.input[1:])


def _rows(
    taps: DenseTaps, sources: Sequence[Source], how: Aggregation, *, preprocessing: Preprocessing, batch: int
) -> tuple[dict[int, dict[str, npt.NDArray[np.float32]]], dict[int, str]]:
    """What every readable source has in each layer, and why the others cannot be read."""
    rows: dict[int, dict[str, npt.NDArray[np.float32]]] = {}
    unreadable: dict[int, str] = {}
    for part in _parts(range(len(sources)), batch):
        images: dict[int, Pixels] = {}
        for number in part:
            try:
                images[number] = _pixels(sources[number], channels=preprocessing.channels)
            except DataError as error:
                unreadable[number] = error.message
        rows.update(_described(taps, images, how, preprocessing=preprocessing, batch=batch))
    return rows, unreadable


def _described(
    taps: DenseTaps, images: Mapping[int, Pixels], how: Aggregation, *, preprocessing: Preprocessing, batch: int
) -> dict[int, dict[str, npt.NDArray[np.float32]]]:
    at_scale = [
        _at_scale(taps, images, how, preprocessing=replace(preprocessing, resize=scale), batch=batch)
        for scale in how.scales
    ]
    if how.pool == "none":
        return at_scale[0]
    return {
        number: {layer: combined([values[number][layer][None] for values in at_scale], how)[0] for layer in taps.layers}
        for number in images
    }


def _at_scale(
    taps: DenseTaps, images: Mapping[int, Pixels], how: Aggregation, *, preprocessing: Preprocessing, batch: int
) -> dict[int, dict[str, npt.NDArray[Any]]]:
    """What each image has in each layer at one scale: (channels,), or its maps (channels, height, width)."""
    inputs = {number: apply(image, preprocessing) for number, image in images.items()}
    found: dict[int, dict[str, npt.NDArray[Any]]] = {}
    for numbers in _of_one_shape(taps, inputs, batch=batch):
        values = _values(taps, torch.stack([inputs[number] for number in numbers]), how)
        for row, number in enumerate(numbers):
            found[number] = {layer: array[row] for layer, array in values.items()}
    return found


def _of_one_shape(taps: DenseTaps, inputs: Mapping[int, Tensor], *, batch: int) -> Iterator[Sequence[int]]:
    """The numbers of inputs that are computed together."""
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, image in inputs.items():
        alike[image.shape[1], image.shape[2]].append(number)
    for size, numbers in alike.items():
        yield from _parts(numbers, room.at_once(taps.network, size, most=batch))


def _values(taps: DenseTaps, inputs: Tensor, how: Aggregation) -> dict[str, npt.NDArray[Any]]:
    """The layers' maps of inputs (n, c, h, w), or their means over places and the mirror image: (n, channels)."""
    maps = {layer: tensor.float().cpu().numpy() for layer, tensor in taps.compute(inputs).items()}
    if how.pool == "none":
        return maps
    means = {layer: spatial_mean(array) for layer, array in maps.items()}
    if not how.flip:
        return means
    mirrored = taps.compute(inputs.flip(3).contiguous())
    return {layer: (mean + spatial_mean(mirrored[layer].float().cpu().numpy())) / 2 for layer, mean in means.items()}


def _parts(numbers: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    return (numbers[first : first + most] for first in range(0, len(numbers), most))


def _pixels(source: Source, *, channels: int) -> Pixels:
    return source if isinstance(source, np.ndarray) else decode(source, channels=channels)


def _whole(preprocessing: Preprocessing) -> Preprocessing:
    """The same numbers for the whole image; the scale is not said yet."""
    return replace(preprocessing, resize=None, crop="none")


def _stacked(rows: list[npt.NDArray[np.float32]], layer: str) -> npt.NDArray[np.float32]:
    shapes = sorted({row.shape for row in rows})
    if len(shapes) > 1:
        first, second = ("x".join(map(str, shape)) for shape in shapes[:2])
        raise DataError(
            f"the maps of {layer} are of {len(shapes)} sizes, such as {first} and {second}",
            code="MAPS-DIFFER",
            hint="Give --pool mean, or images of one shape.",
        )
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def _refuse_broken(found: Descriptors, sources: Sequence[Source]) -> None:
    for layer, array in found.arrays.items():
        broken = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
        if len(broken):
            number = found.images[broken[0]]
            source = sources[number]
            name = f"image {number}" if isinstance(source, np.ndarray) else shown(source)
            raise NumericalError(
                f"{layer} has values that are not finite for {len(broken)} of {len(array)} images, first {name}",
                code="FEATURES-NONFINITE",
                hint="The weights have diverged: train with a lower learning rate or with --clip 1.",
            )
