"""Files of weights that other libraries wrote, made once."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.weights import origins
from verydeep.data.decode import decode
from verydeep.data.geometry import rescale
from verydeep.data.preprocess import fit
from verydeep.weights import imagenet

SCRIPT = Path(__file__).with_name("write_keras.py")
NEEDED = ("keras", "keras_hub", "jax")


@pytest.fixture(scope="session")
def photographs(shared_data: Path) -> list[Path]:
    """Twenty photographs of twenty classes, in their own sizes and shapes."""
    return sorted((shared_data / "photos-100").rglob("*.JPEG"))[::5]


@pytest.fixture(scope="session")
def origin_files(photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one function of a photograph in every format; see origins.py and write_keras.py."""
    if absent := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(absent)}")
    folder = tmp_path_factory.mktemp("origins")
    pixels = origins.of_pixels()
    numbers, bgr = origins.of_numbers(pixels), origins.of_bgr(pixels)
    origins.write_pytorch(origins.torchvision_model(numbers), folder / "torchvision")
    origins.write_pytorch(origins.timm_model(numbers), folder / "timm")
    origins.write_flaxmodels(numbers, folder / "flaxmodels.h5")
    origins.write_matconvnet(pixels, folder / "matconvnet.mat")
    origins.write_caffe(bgr, folder / "caffe.caffemodel", generation=2)
    origins.write_caffe(bgr, folder / "caffe_2014.caffemodel", generation=1)
    images = [decode(path, channels=3) for path in photographs]
    np.save(folder / "crops.npy", np.stack([fit(image, imagenet.MEAN_AND_DEVIATION) for image in images]))
    np.save(folder / "whole.npy", rescale(images[0], smallest=224, cover=(224, 224)))
    np.savez(folder / "numbers.npz", **numbers)
    np.savez(folder / "bgr.npz", **bgr)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder
