"""Every protocol against plain loops in float64; for each mistake the same comparison, which notices it (NUM-09)."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.evaluation.naive import Naive
from tests.evaluation.nets import CLASSES, NETS, a_run
from verydeep.data import geometry
from verydeep.data.split import FileSplit, MemorySplit
from verydeep.errors import NumericalError
from verydeep.evaluation import alike, order, posteriors, windows
from verydeep.evaluation.protocol import KINDS, Protocol, protocol_for

TOLERANCE = 1e-5
SCALES = (17, 20, 25)

pytestmark = pytest.mark.usefixtures("compiled")


def pictures(count: int, *, channels: int, sizes: Iterable[tuple[int, int]] = ((19, 27),)) -> list[np.ndarray]:
    """Images [h, w, c] that look otherwise upside down, mirrored, moved and squashed."""
    stream, sizes = np.random.default_rng(7), list(sizes)
    found = []
    for number in range(count):
        height, width = sizes[number % len(sizes)]
        y, x = np.mgrid[:height, :width]
        slope = 6 * y[:, :, None] + 3 * x[:, :, None] * np.arange(1, channels + 1)
        found.append(((slope + 80 * stream.random((height, width, channels))) % 256).astype(np.uint8))
    return found


def in_memory(images: list[np.ndarray]) -> MemorySplit:
    labels = np.arange(len(images)) % len(CLASSES)
    return MemorySplit("pictures", CLASSES, labels, np.stack(images).transpose(0, 3, 1, 2))


def in_files(images: list[np.ndarray], folder: Path) -> FileSplit:
    paths = []
    for number, image in enumerate(images):
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(paths[-1])
    labels = np.arange(len(images)) % len(CLASSES)
    return FileSplit("files", CLASSES, labels, tuple(paths), channels=images[0].shape[2], root=str(folder))


@cache
def expected(name: str, kind: str, flip: bool, scales: tuple[int, ...], count: int = 2) -> np.ndarray:
    """The loops' posteriors of the pictures in memory."""
    run = a_run(name)
    naive = Naive(run.network, run.weights, run.preprocessing)
    images = pictures(count, channels=run.preprocessing.channels)
    return np.stack([naive.posterior(image, kind=kind, scales=scales, flip=flip) for image in images])


def difference(name: str, kind: str, *, flip: bool = True, engine: str = "verydeep") -> float:
    """The largest difference between a posterior and that of the loops."""
    run = a_run(name)
    images = in_memory(pictures(2, channels=run.preprocessing.channels))
    protocol = protocol_for(run, kind, scales=SCALES, flip=flip)
    found = posteriors.posteriors(run, images, protocol=protocol, engine=engine)
    return float(np.abs(found.array - expected(name, kind, flip, SCALES)).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETS)
def test_a_protocol_is_the_loops(name: str, kind: str):
    for flip in (True, False):
        for engine in ("verydeep", "pytorch"):
            assert difference(name, kind, flip=flip, engine=engine) <= TOLERANCE


@pytest.mark.parametrize("kind", ["dense", "both", "ten-crop"])
def test_files_of_any_shape_in_batches_of_any_size_are_the_loops(kind: str, tmp_path: Path):
    sizes = [(40, 30), (19, 27), (17, 17), (18, 60), (40, 30), (27, 19)]
    images = pictures(9, channels=3, sizes=sizes)
    run = a_run()
    naive = Naive(run.network, run.weights, run.preprocessing)
    loops = np.stack([naive.posterior(image, kind=kind, scales=(16, 21), flip=True) for image in images])
    split = in_files(images, tmp_path)
    protocol = protocol_for(run, kind, scales=(16, 21))
    for batch in (1, 2, 256):
        found = posteriors.posteriors(run, split, protocol=protocol, batch=batch)
        assert np.abs(found.array - loops).max() <= TOLERANCE
        assert np.array_equal(found.labels, split.labels)


def test_images_that_wait_for_their_shape_too_long_come_all_the_same(tmp_path: Path, monkeypatch):
    run = a_run()
    split = in_files(pictures(8, channels=3, sizes=[(19, 27), (30, 20), (20, 20)]), tmp_path)
    protocol = protocol_for(run, "dense")
    together = posteriors.posteriors(run, split, protocol=protocol).array
    monkeypatch.setattr(alike, "WAITING", 3 * 18 * 25 * 3)
    assert np.abs(posteriors.posteriors(run, split, protocol=protocol).array - together).max() <= TOLERANCE


def test_images_in_memory_are_rescaled_a_few_at_a_time(monkeypatch):
    run, split = a_run(), in_memory(pictures(8, channels=3))
    protocol = protocol_for(run, "multi-crop", scales=(20,))
    together = posteriors.posteriors(run, split, protocol=protocol).array
    real, taken = alike.fit_batch, []
    monkeypatch.setattr(alike, "WAITING", 3 * 20 * 28 * 3)
    monkeypatch.setattr(alike, "fit_batch", lambda images, how: taken.append(len(images)) or real(images, how))
    found = posteriors.posteriors(run, split, protocol=protocol).array
    assert taken == [3, 3, 2]
    assert np.abs(found - together).max() <= TOLERANCE


@pytest.mark.parametrize("name", NETS)
def test_dense_at_exactly_the_crop_is_the_crop(name: str):
    run = a_run(name)
    channels, size, _ = run.network.input
    split = in_memory(pictures(3, channels=channels, sizes=[(2 * size, 2 * size)]))
    crop, whole = (
        posteriors.posteriors(run, split, protocol=Protocol(kind, (size,), False)) for kind in ("center", "dense")
    )
    assert np.abs(crop.array - whole.array).max() <= 1e-6


# Mistakes


def softmax_in_each_cell(compute: Callable[..., Tensor], pixels: np.ndarray, *, parts: object) -> Tensor:
    """Posteriors of the cells are averaged, and come out of the softmax that follows as they are."""
    del parts
    return compute(pixels).double().softmax(1).mean((2, 3)).log()


def mean_of_logits(parts: Iterable[Tensor]) -> Tensor:
    """Softmax of the mean of the logits, from their posteriors."""
    return torch.stack([part.log() for part in parts]).mean(0).softmax(1)


def one_pixel_off(image: tuple[int, int], *, size: tuple[int, int]) -> list[tuple[int, int]]:
    return windows.grid((image[0] - 1, image[1] - 1), size=size)


def inside_the_corners(image: tuple[int, int], *, size: tuple[int, int]) -> list[tuple[int, int]]:
    steps = [(number + 1) / 6 for number in range(5)]
    return [(round((image[0] - size[0]) * y), round((image[1] - size[1]) * x)) for y in steps for x in steps]


def corners_only(image: tuple[int, int], *, size: tuple[int, int]) -> list[tuple[int, int]]:
    return windows.corners_and_centre(image, size=size)[:4]


def corners_of_the_rectangle(image: tuple[int, int], *, size: tuple[int, int]) -> list[tuple[int, int]]:
    corners = [(top, left) for top in (0, image[0] - size[0]) for left in (0, image[1] - size[1])]
    return [*corners, *windows.centre(image, size=size)]


def the_map_is_one_of_the_crops(parts: list[Tensor]) -> Tensor:
    map, crops, map_mirrored, crops_mirrored = parts
    return (map + map_mirrored + 25 * (crops + crops_mirrored)) / 52


def squashed(height: int, width: int, *, smallest: int | None, cover: tuple[int, int]) -> tuple[int, int]:
    del height, width, cover
    return smallest or 0, smallest or 0


def at_one_scale(*args: object, **options: object):
    return alike.alike(*args, **{**options, "scale": SCALES[0]})


def with_windows(*kinds: str, at: Callable[..., object]) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(order, "WINDOWS", {**windows.WINDOWS, **dict.fromkeys(kinds, at)})


def with_part(module: object, name: str, value: object) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(module, name, value)


def softmax_last(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(order, "softmax", lambda scores: scores.double())
    patch.setattr(posteriors, "mean", lambda parts: order.mean(parts).softmax(1))


def squash(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(geometry, "rescaled_size", squashed)
    patch.setattr(alike, "rescaled_size", squashed)


def windows_of_the_mirror_image(scores: Callable[..., Tensor], pixels: np.ndarray, **how: object) -> Tensor:
    """The image is mirrored first and windows are cut from that, so that some lie one pixel beside their own."""
    turned = how.pop("turned")
    return _OF_WINDOWS(scores, turned(pixels), turned=order.unturned, **how)


_OF_WINDOWS = order._of_windows
MAPS, GRIDS = ("dense", "both"), ("multi-crop", "both")
MISTAKES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], tuple[str, ...]]] = {
    "softmax before the mean over space": (with_part(order, "mean_scores", softmax_in_each_cell), MAPS),
    "softmax after all means": (softmax_last, KINDS),
    "the mean of an image's and its mirror image's logits": (with_part(order, "mean", mean_of_logits), KINDS),
    "the mean of the scales' logits": (with_part(posteriors, "mean", mean_of_logits), KINDS),
    "mirrored top to bottom": (with_part(order, "mirrored", lambda pixels: pixels[:, :, ::-1]), KINDS),
    "the mirror image is forgotten": (with_part(order, "mirrored", order.unturned), KINDS),
    "turned by half a circle": (with_part(order, "mirrored", lambda pixels: pixels[:, :, ::-1, ::-1]), KINDS),
    "windows cut from the mirror image": (with_part(order, "_of_windows", windows_of_the_mirror_image), GRIDS),
    "colours turned, not columns": (with_part(order, "mirrored", lambda pixels: pixels[:, ::-1]), KINDS),
    "the grid is off by one pixel": (with_windows(*GRIDS, at=one_pixel_off), GRIDS),
    "the grid has no corners": (with_windows(*GRIDS, at=inside_the_corners), GRIDS),
    "the centre is off by one pixel": (with_windows("center", at=one_pixel_off), ("center",)),
    "ten crops without the centre": (with_windows("ten-crop", at=corners_only), ("ten-crop",)),
    "ten crops of the whole rectangle": (with_windows("ten-crop", at=corners_of_the_rectangle), ("ten-crop",)),
    "the map is one of the crops": (with_part(order, "mean", the_map_is_one_of_the_crops), ("both",)),
    "one scale instead of three": (with_part(posteriors, "alike", at_one_scale), KINDS),
    "squashed to a square": (squash, KINDS),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_caught(mistake: str, monkeypatch):
    make, kinds = MISTAKES[mistake]
    for kind in kinds:
        assert difference("A", kind) <= TOLERANCE
    make(monkeypatch)
    for kind in kinds:
        assert difference("A", kind) > 10 * TOLERANCE, kind


def test_the_grid_goes_from_corner_to_corner_through_the_centre():
    corners = windows.grid((256, 341), size=(224, 224))
    assert len(corners) == 25
    assert corners[0] == (0, 0)
    assert corners[-1] == (32, 117)
    assert corners[12] == windows.centre((256, 341), size=(224, 224))[0] == (16, 58)
    assert sorted({top for top, _ in corners}) == [0, 8, 16, 24, 32]
    assert sorted({left for _, left in corners}) == [0, 29, 58, 88, 117]


def test_the_ten_crops_lie_in_the_central_square_as_alexnets_do():
    in_the_square = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    assert windows.corners_and_centre((256, 256), size=(224, 224)) == in_the_square
    assert windows.corners_and_centre((256, 341), size=(224, 224)) == [(y, x + 42) for y, x in in_the_square]
    assert windows.corners_and_centre((341, 256), size=(224, 224)) == [(y + 42, x) for y, x in in_the_square]


def test_a_square_that_does_not_hold_the_crop_is_stretched_until_it_does():
    assert windows.corners_and_centre((20, 40), size=(16, 24)) == [(0, 8), (0, 8), (4, 8), (4, 8), (2, 8)]


def test_where_a_side_has_the_length_of_the_crop_the_grid_lies_on_one_line_and_each_window_counts():
    assert windows.grid((224, 232), size=(224, 224)) == [(0, left) for left in (0, 2, 4, 6, 8)] * 5


def test_a_score_that_is_not_finite_is_refused_with_its_image():
    run = a_run()
    broken = replace(run, weights={**run.weights, "fc4.bias": np.full(5, np.inf, np.float32)})
    split = in_memory(pictures(2, channels=3))
    with pytest.raises(
        NumericalError, match="the scores of 2 of 2 samples are not finite, the first are those of sample 0"
    ):
        posteriors.posteriors(broken, split, protocol=protocol_for(run, "dense"))
