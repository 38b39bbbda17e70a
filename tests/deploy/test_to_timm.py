"""A file for timm is what `timm.create_model` loads by name, and computes what the model computes."""

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("timm")

import verydeep as vd
from tests.deploy.bundles import SHARE, apart
from tests.deploy.models import elsewhere, saved, untrained
from tests.deploy.refusals import damage, refused, take_away
from verydeep.data.split import FileSplit
from verydeep.deploy import to_timm
from verydeep.deploy.bundle import for_rgb
from verydeep.deploy.export import export
from verydeep.deploy.images import spread
from verydeep.deploy.to_timm import _share
from verydeep.deploy.verify import model_of
from verydeep.weights import tensor_file

NETWORK = vd.network("resnet18", input=(3, 32, 32), classes=10)
SMALL = vd.vgg(((1, 4),), input=(1, 8, 8), classes=10, fc=())

THEIRS = """
import timm, torch
from PIL import Image
from safetensors import safe_open
with safe_open("model.safetensors", "pt") as file:
    texts = file.metadata()
model = eval(texts["call"]).eval()
transform = timm.data.create_transform(**json.loads(texts["transform"]))
images = torch.stack([transform(Image.fromarray(image.transpose(1, 2, 0))) for image in images])
with torch.inference_mode():
    logits = torch.cat([model(part) for part in images.split((1, 2, 7))]).numpy()
print(json.dumps([json.loads(texts["classes"]), timm.models.is_model(texts["model"])]))
"""


def test_timm_alone_gives_the_logits_of_photographs(photographs: FileSplit, tmp_path: Path):
    """With its own model, its own transform, and nothing but what the file says."""
    bundle = untrained(NETWORK)
    to_timm.write(for_rgb(bundle), tmp_path / "model.safetensors", size="fixed")
    pixels = spread(photographs, 10, preprocessing=bundle.preprocessing).pixels
    found, printed = elsewhere(THEIRS, pixels, tmp_path)
    expected = model_of(bundle)(pixels)
    assert apart(found, expected) <= SHARE
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert json.loads(printed) == [list(bundle.classes), True]


def test_every_name_is_one_of_timms():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own old names
        import timm
    assert set(to_timm.MODELS.values()) <= set(timm.list_models())


def test_the_crop_as_a_share_gives_back_every_size_to_rescale_to():
    """timm rescales to floor(size / crop_pct); 32 of 93 is one of the pairs where the plain share loses a pixel."""
    for size in range(8, 600):
        lost = [resize for resize in range(size, 2 * size + 90) if math.floor(size / _share(size, resize)) != resize]
        assert lost == [], size
    assert math.floor(32 / (32 / 93)) == 92


def test_an_image_that_keeps_its_own_size_is_said_to_be_beyond_the_transform(tmp_path: Path):
    bundle = for_rgb(untrained(NETWORK))
    for name, resize in (("fixed", 40), ("own", None)):
        record = replace(bundle.preprocessing, resize=resize)
        to_timm.write(replace(bundle, preprocessing=record), tmp_path / name, size="fixed")
    assert json.loads(tensor_file.texts(tmp_path / "fixed")["transform"])["crop_pct"] == pytest.approx(32 / 40)
    assert "transform_note" not in tensor_file.texts(tmp_path / "fixed")
    assert "images of their own size" in tensor_file.texts(tmp_path / "own")["transform_note"]


def test_a_network_that_timm_does_not_have_is_refused_in_one_line(tmp_path, capsys):
    code, line = refused(saved(untrained(SMALL), tmp_path), "timm", capsys)
    assert code == 2
    assert line.startswith("[EXPORT-NETWORK]: timm has no network like vgg. It has vgg11, ")


def test_a_file_that_is_not_the_model_is_deleted(tmp_path, monkeypatch, capsys):
    model = saved(untrained(NETWORK), tmp_path)
    damage(monkeypatch, "timm")
    code, line = refused(model, "timm", capsys)
    assert code == 8
    assert line.startswith("[EXPORT-MISMATCH]: the exported file is not the model: at batch 1 of 32x32 a logit is off")


def test_without_timm_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    take_away(monkeypatch, "timm", to="timm")
    code, line = refused(saved(untrained(NETWORK), tmp_path), "timm", capsys)
    assert (code, line) == (2, "[EXTRA-MISSING]: this needs timm, which is not installed. Run: pip install timm")


def test_what_is_right_is_kept_under_a_name_that_says_whose_it_is(tmp_path: Path):
    bundle = untrained(NETWORK)
    done = export(saved(bundle, tmp_path), "digits", to="timm")
    assert done.files == ("mine.timm.safetensors",)
    texts = tensor_file.texts(done.path)
    said = 'timm.create_model("resnet18", num_classes=10, checkpoint_path="mine.timm.safetensors")'
    assert texts["call"] == said
    assert json.loads(texts["classes"]) == list(bundle.classes)
    assert json.loads(texts["preprocessing"]) == done.preprocessing
