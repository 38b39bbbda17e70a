"""A file for torchvision is what torchvision's own constructor loads, and computes what the model computes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torchvision

import verydeep as vd
from tests.deploy.bundles import SHARE, apart
from tests.deploy.models import elsewhere, saved, untrained
from tests.deploy.refusals import damage, refused
from verydeep.data.split import FileSplit
from verydeep.deploy import to_torchvision
from verydeep.deploy.bundle import for_rgb
from verydeep.deploy.export import export
from verydeep.deploy.images import spread
from verydeep.deploy.namesake import namesake
from verydeep.deploy.verify import model_of
from verydeep.errors import ConfigError
from verydeep.weights import tensor_file

NETWORK = vd.network("resnet18", input=(3, 32, 32), classes=10)
SMALL = vd.vgg(((1, 4),), input=(1, 8, 8), classes=10, fc=())

THEIRS = """
import torch, torchvision
from safetensors import safe_open
from safetensors.torch import load_file
from torchvision.transforms._presets import ImageClassification
with safe_open("model.safetensors", "pt") as file:
    texts = file.metadata()
model = torchvision.models.get_model(texts["model"], **json.loads(texts["arguments"])).eval()
model.load_state_dict(load_file("model.safetensors"))
again = eval(texts["call"]).eval()
again.load_state_dict(load_file("model.safetensors"))
transform = ImageClassification(**json.loads(texts["transform"]))
with torch.inference_mode():
    images = transform(torch.from_numpy(images))
    logits = torch.cat([model(part) for part in images.split((1, 2, 7))])
    assert torch.equal(again(images), model(images))
    logits = logits.numpy()
print(texts["classes"])
"""


@pytest.mark.parametrize(("name", "color"), [("resnet18", "BGR"), ("googlenet_bn", "RGB")])
def test_torchvision_alone_gives_the_logits_of_photographs(
    name: str, color: str, photographs: FileSplit, tmp_path: Path
):
    """With its own model, its own transform, and nothing but what the file says."""
    bundle = untrained(vd.network(name, input=(3, 32, 32), classes=10), color=color)
    to_torchvision.write(for_rgb(bundle), tmp_path / "model.safetensors", size="fixed")
    pixels = spread(photographs, 10, preprocessing=bundle.preprocessing).pixels
    found, printed = elsewhere(THEIRS, pixels, tmp_path)
    expected = model_of(bundle)(pixels)
    assert apart(found, expected) <= SHARE
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert tuple(json.loads(printed)) == bundle.classes


@pytest.mark.parametrize("name", to_torchvision.MODELS)
def test_every_name_is_one_of_torchvisions(name):
    network = vd.network(name, classes=7)
    theirs = namesake(network, to_torchvision.MODELS, library="torchvision")
    assert theirs in torchvision.models.list_models()
    assert theirs == {"googlenet_bn": "googlenet"}.get(name, name)


def test_another_dropout_and_another_size_that_changes_no_array_are_the_same_network():
    for network in (
        vd.network("vgg16", classes=10, dropout=0.0),
        vd.network("vgg16", input=(3, 230, 255)),
        vd.network("resnet50", input=(3, 64, 96)),
    ):
        assert namesake(network, to_torchvision.MODELS, library="torchvision") == network.name


@pytest.mark.parametrize(
    "network",
    [
        vd.network("vgg16_1x1"),
        vd.network("vgg11_lrn"),
        vd.network("vgg16", fc=(512, 512)),
        vd.network("vgg16", width=0.5),
        vd.network("vgg16", input=(3, 256, 256)),
        vd.network("vgg16", input=(1, 224, 224)),
        vd.network("googlenet"),
        vd.network("resnet20_cifar"),
        vd.fold(vd.network("resnet18")),
    ],
    ids=lambda network: network.name,
)
def test_what_torchvision_does_not_have_is_refused(network):
    with pytest.raises(ConfigError, match=f"torchvision has no network like {network.name}") as caught:
        namesake(network, to_torchvision.MODELS, library="torchvision")
    assert caught.value.code == "EXPORT-NETWORK"


def test_a_refusal_is_one_line_and_leaves_nothing(tmp_path, capsys):
    code, line = refused(saved(untrained(SMALL), tmp_path), "torchvision", capsys)
    assert code == 2
    assert line.startswith("[EXPORT-NETWORK]: torchvision has no network like vgg. It has vgg11, ")


def test_a_file_that_is_not_the_model_is_deleted(tmp_path, monkeypatch, capsys):
    model = saved(untrained(NETWORK), tmp_path)
    damage(monkeypatch, "torchvision")
    code, line = refused(model, "torchvision", capsys)
    assert code == 8
    assert line.startswith("[EXPORT-MISMATCH]: the exported file is not the model: at batch 1 of 32x32 a logit is off")


def test_what_is_right_is_kept_under_a_name_that_says_whose_it_is(tmp_path: Path):
    bundle = untrained(NETWORK)
    done = export(saved(bundle, tmp_path), "digits", to="torchvision")
    assert done.files == ("mine.torchvision.safetensors",)
    texts = tensor_file.texts(done.path)
    assert texts["call"] == "torchvision.models.resnet18(num_classes=10)"
    assert (texts["model"], json.loads(texts["arguments"])) == ("resnet18", {"num_classes": 10})
    assert json.loads(texts["classes"]) == list(bundle.classes)
    # Its order of colours is inside, mean and deviation are not.
    assert json.loads(texts["preprocessing"]) == done.preprocessing
    assert done.preprocessing["color"] == "RGB"
    assert done.preprocessing["mean"] == list(bundle.preprocessing.mean[::-1])
