"""A network as a state dict that torchvision's own constructor loads, as safetensors; torchvision to run it.

with safe_open("model.torchvision.safetensors", "pt") as file:
    texts = file.metadata()
model = torchvision.models.get_model(texts["model"], **json.loads(texts["arguments"]))
model.load_state_dict(safetensors.torch.load_file("model.torchvision.safetensors"))
"""

import json
from pathlib import Path
from typing import Any

import torchvision
from safetensors.numpy import save as to_bytes
from safetensors.torch import load_file

from verydeep.deploy.bundle import Bundle
from verydeep.deploy.formats import Runner, Size
from verydeep.deploy.namesake import namesake
from verydeep.deploy.torch_runner import by_pytorch
from verydeep.durable import write_synced
from verydeep.preprocessing import Preprocessing
from verydeep.weights import tensor_file
from verydeep.weights.torchvision import to_torchvision

VGGS = ("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn")
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
MODELS = {name: name for name in (*VGGS, "alexnet", *RESNETS)} | {"googlenet_bn": "googlenet"}
PLAIN = {"googlenet": {"aux_logits": False, "init_weights": False}}  # without the classifiers that only training has


def write(bundle: Bundle, path: Path, *, size: Size) -> None:
    """Write arrays under torchvision's keys, and texts that say how to use them.

    `model` and `arguments` (JSON) are those of ``torchvision.models.get_model``, `call` is the same to read;
    `transform` (JSON) has the arguments of torchvision's ImageClassification, where `resize_size` may be null: the
    image keeps its own size, and `crop_size` may be (height, width); `preprocessing` and `classes` as everywhere.

    Raises:
        ConfigError: torchvision has no such network.
    """
    del size
    model = namesake(bundle.network, MODELS, library="torchvision")
    arguments: dict[str, Any] = {"num_classes": bundle.network.classes, **PLAIN.get(model, {})}
    texts = {
        "model": model,
        "arguments": json.dumps(arguments),
        "call": f"torchvision.models.{model}({', '.join(f'{name}={value}' for name, value in arguments.items())})",
        "transform": json.dumps(_transform(bundle.preprocessing)),
        **bundle.texts(),
    }
    write_synced(path, [to_bytes(to_torchvision(bundle.network, bundle.weights), metadata=texts)])


def _transform(preprocessing: Preprocessing) -> dict[str, Any]:
    """The same in torchvision's words, where colours are numbers of 0..1."""
    height, width = preprocessing.size
    return {
        "resize_size": preprocessing.resize,
        "crop_size": height if height == width else [height, width],
        "mean": [mean / 255 for mean in preprocessing.mean],
        "std": [deviation / 255 for deviation in preprocessing.std],
    }


def runner(path: Path) -> Runner:
    """Logits by torchvision's own model."""
    texts = tensor_file.texts(path)
    model = torchvision.models.get_model(texts["model"], **json.loads(texts["arguments"])).eval()
    model.load_state_dict(load_file(path))
    return by_pytorch(model)
