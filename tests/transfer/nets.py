"""Small runs and photographs that the tests of transfer share."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.images import photo
from verydeep.families.vgg import vgg
from verydeep.preprocessing import Preprocessing
from verydeep.run import Run
from verydeep.spec import Network
from verydeep.weights.initial import initial

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 62.0, 64.0)


def small_run(network: Network | None = None, *, seed: int = 1, path: str = "run") -> Run:
    """A network for 16x16 RGB images with fc3, fc4 and the classifier fc5, with initial weights and biases."""
    chosen = network or vgg(((1, 6), (1, 8)), input=(3, 16, 16), classes=5, fc=(20, 24))
    stream = np.random.default_rng(seed)
    weights = {
        name: array + 0.1 * stream.random(array.shape, np.float32) if name.endswith("bias") else array
        for name, array in initial(chosen, seed=seed).items()
    }
    preprocessing = Preprocessing(3, chosen.input[1:], 18, "center", MEAN, STD, "RGB")
    return Run(Path(path), None, chosen, weights, preprocessing, tuple("abcde"), (), {})


def photographs(folder: Path, sizes: Sequence[tuple[int, int]]) -> list[str]:
    """PNG files of these sizes (h, w)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(len(sizes))]
    for number, (path, (height, width)) in enumerate(zip(paths, sizes, strict=True)):
        Image.fromarray(photo(height, width, seed=number)).save(path)
    return [str(path) for path in paths]
