"""The paper's test protocols as plain loops in float64: one image, one window, one sum at a time; Pillow rescales."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from verydeep.backends import numpy_reference
from verydeep.preprocessing import Preprocessing
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import Network

Array = npt.NDArray[Any]


def rescaled(image: Array, scale: int) -> Array:
    """[h, w, c] with its smallest side `scale`."""
    height, width = image.shape[:2]
    shorter = min(height, width)
    size = int(scale * width / shorter), int(scale * height / shorter)
    if size == (width, height):
        return image
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).reshape(size[1], size[0], image.shape[2])


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


class Naive:
    """A network in NumPy, and what each protocol makes of one image [h, w, c]."""

    def __init__(self, network: Network, weights: Mapping[str, Array], preprocessing: Preprocessing) -> None:
        self.network, self.weights, self.preprocessing = network, weights, preprocessing
        self.dense, self.dense_weights = dense(network), dense_weights(network, weights)

    def input(self, image: Array) -> Array:
        colors = image[:, :, ::-1] if self.preprocessing.color == "BGR" else image
        values = (colors.astype(np.float64) - self.preprocessing.mean) / self.preprocessing.std
        return values.transpose(2, 0, 1)[None]

    def of_crop(self, image: Array) -> Array:
        return softmax(numpy_reference.run(self.network, self.weights, self.input(image))["output"][0])

    def of_map(self, image: Array) -> Array:
        map = numpy_reference.run(self.dense, self.dense_weights, self.input(image))["output"][0]
        classes, rows, columns = map.shape
        total = np.zeros(classes)
        for row in range(rows):
            for column in range(columns):
                total += map[:, row, column]
        return softmax(total / (rows * columns))

    def center(self, image: Array) -> list[Array]:
        height, width = self.preprocessing.size
        top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
        return [image[top : top + height, left : left + width]]

    def ten_crop(self, image: Array) -> list[Array]:
        """AlexNet's section 4.1: four corner patches and the centre patch of the cropped-out central square."""
        side = min(image.shape[:2])
        above, before = round((image.shape[0] - side) / 2), round((image.shape[1] - side) / 2)
        square = image[above:, before:][:side, :side]
        height, width = self.preprocessing.size
        corners = [
            square[rows, columns]
            for rows in (slice(height), slice(side - height, side))
            for columns in (slice(width), slice(side - width, side))
        ]
        return [*corners, *self.center(square)]

    def multi_crop(self, image: Array) -> list[Array]:
        height, width = self.preprocessing.size
        found = []
        for row in range(5):
            for column in range(5):
                top = round((image.shape[0] - height) * row / 4)
                left = round((image.shape[1] - width) * column / 4)
                found.append(image[top : top + height, left : left + width])
        return found

    def posterior(self, image: Array, *, kind: str, scales: tuple[int, ...], flip: bool) -> Array:
        """The probabilities of the classes."""
        crops: dict[str, Callable[[Array], list[Array]]] = {
            "center": self.center,
            "ten-crop": self.ten_crop,
            "multi-crop": self.multi_crop,
        }
        if kind == "both":
            ways = [self.posterior(image, kind=way, scales=scales, flip=flip) for way in ("dense", "multi-crop")]
            return (ways[0] + ways[1]) / 2
        of_scales = []
        for scale in scales:
            whole = rescaled(image, scale)
            found = []
            if kind == "dense":
                found.append(self.of_map(whole))
                if flip:
                    found.append(self.of_map(whole[:, ::-1]))
            else:
                for crop in crops[kind](whole):
                    found.append(self.of_crop(crop))
                    if flip:
                        found.append(self.of_crop(crop[:, ::-1]))
            of_scales.append(sum(found) / len(found))
        return sum(of_scales) / len(of_scales)
