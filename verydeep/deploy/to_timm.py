"""A network as a file that timm loads by name, as safetensors; timm to run it.

model = timm.create_model("vgg16", num_classes=10, checkpoint_path="model.timm.safetensors")
"""

import json
import math
from pathlib import Path
from typing import Any

import timm
from safetensors.numpy import save as to_bytes

from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Runner, Size
from verydeep.deploy.namesake import namesake
from verydeep.deploy.to_torchvision import RESNETS, VGGS
from verydeep.deploy.torch_runner import by_pytorch
from verydeep.durable import write_synced
from verydeep.preprocessing import Preprocessing
from verydeep.weights import tensor_file
from verydeep.weights.timm import to_timm

MODELS = {name: name for name in (*VGGS, *RESNETS)}

KEEPS_ITS_SIZE = "The network was tested on images of their own size; this transform rescales larger ones to its input."


def write(bundle: Bundle, path: Path, *, size: Size) -> None:
    """Write arrays under timm's keys, and texts that say how to use them.

    `model` and `arguments` (JSON) are those of ``timm.create_model``, `call` is the same to read; `transform` (JSON)
    has the arguments of ``timm.data.create_transform``, and `transform_note` what these cannot say, if there is
    anything; `preprocessing` and `classes` as everywhere.

    Raises:
        ConfigError: timm has no such network.
    """
    del size
    model, classes = namesake(bundle.network, MODELS, library="timm"), bundle.network.classes
    texts = {
        "model": model,
        "arguments": json.dumps({"num_classes": classes}),
        "call": f'timm.create_model("{model}", num_classes={classes}, checkpoint_path="{path.name}")',
        "transform": json.dumps(_transform(bundle.preprocessing)),
        **bundle.texts(),
    }
    if bundle.preprocessing.resize is None:
        texts["transform_note"] = KEEPS_ITS_SIZE
    write_synced(path, [to_bytes(to_timm(bundle.network, bundle.weights), metadata=texts)])


def _transform(preprocessing: Preprocessing) -> dict[str, Any]:
    """The same in timm's words: colours of 0..1, and the crop as a share of the rescaled image."""
    height, width = preprocessing.size
    return {
        "input_size": [preprocessing.channels, height, width],
        "crop_pct": _share(min(height, width), preprocessing.resize or min(height, width)),
        "interpolation": preprocessing.interpolation,
        "mean": [mean / 255 for mean in preprocessing.mean],
        "std": [deviation / 255 for deviation in preprocessing.std],
    }


def _share(size: int, resize: int) -> float:
    """Just below `size` / `resize`: timm rescales to floor(size / share), and rounding must not lose a pixel."""
    return math.nextafter(size / resize, 0)


def runner(path: Path) -> Runner:
    """Logits by timm's own model."""
    texts = tensor_file.texts(path)
    model = timm.create_model(texts["model"], **json.loads(texts["arguments"]), checkpoint_path=str(path)).eval()
    return by_pytorch(model)
