"""An OpenVINO model in 8-bit integers, by NNCF's quantisation after training."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import nncf
import openvino

from verydeep.deploy.formats import Float32

BATCH = 16  # images whose activations are in memory at once


def quantise(source: Path, *, images: Float32) -> Path:
    """Write `source` in int8 under its name in the new folder ``int8`` beside it; the path of that file.

    Ranges are measured on `images` (n, c, h, w), and biases corrected by them.
    """
    path = source.parent / "int8" / source.name
    path.parent.mkdir()
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    model = openvino.Core().read_model(source)
    with redirect_stdout(io.StringIO()):  # its progress bars
        quantised = nncf.quantize(model, nncf.Dataset(batches), subset_size=len(batches))
    openvino.save_model(quantised, path, compress_to_fp16=False)
    return path
