"""A .pt2 file is the model, for those who have PyTorch and not us."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import verydeep as vd
from tests.deploy.bundles import SHARE, apart
from tests.deploy.models import elsewhere, saved, untrained
from tests.deploy.refusals import damage, refused
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.data.split import FileSplit
from verydeep.deploy import to_pt2
from verydeep.deploy.bundle import for_pixels, of_any_size
from verydeep.deploy.export import export
from verydeep.deploy.images import spread
from verydeep.deploy.verify import model_of
from verydeep.errors import VerificationError

THIN = vd.network("A", input=(3, 32, 32), width=1 / 16, fc=(16,), classes=10)
SMALL = vd.vgg(((1, 4),), input=(1, 8, 8), classes=10, fc=())

THEIRS = """
import torch
texts = {"classes": "", "preprocessing": "", "verydeep": ""}
model = torch.export.load("model.pt2", extra_files=texts).module()
with torch.inference_mode():
    logits = np.concatenate([model(torch.from_numpy(part)).numpy() for part in np.split(images, (1, 3))])
print(json.dumps({name: json.loads(text) for name, text in texts.items()}))
"""


def test_pytorch_alone_gives_the_logits_of_photographs_and_the_names(photographs: FileSplit, tmp_path: Path):
    bundle = replace(untrained(THIN), classes=("Katze", "naïve 猫", *"23456789"))
    to_pt2.write(for_pixels(bundle), tmp_path / "model.pt2", size="fixed")
    pixels = spread(photographs, 10, preprocessing=bundle.preprocessing).pixels
    found, printed = elsewhere(THEIRS, pixels.astype(np.float32), tmp_path)
    expected, texts = model_of(bundle)(pixels), json.loads(printed)
    assert apart(found, expected) <= SHARE
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert tuple(texts["classes"]) == bundle.classes
    assert texts["preprocessing"] == for_pixels(bundle).preprocessing.to_json()
    assert texts["verydeep"]["blocks"][0]["name"] == "normalize"


@pytest.mark.parametrize(("name", "side"), [("vgg11", 32), ("resnet18", 33), ("nin", 32)])
def test_the_free_form_takes_any_batch_and_size(name: str, side: int, tmp_path: Path):
    """Maps of 1x2 and of 2x1 are those at which torch.export would put up a guard; the pools of NiN round up."""
    options = {"fc": (16,)} if name == "vgg11" else {}
    network = vd.network(name, input=(3, side, side), width=1 / 16, classes=10, **options)
    bundle = of_any_size(untrained(network))
    to_pt2.write(for_pixels(bundle), tmp_path / "model.pt2", size="free")
    compute, model = to_pt2.runner(tmp_path / "model.pt2"), model_of(bundle)
    down, right = bundle.network.output.step
    for count, height, width in ((1, 0, 0), (2, down, 0), (7, 0, right), (1, 2 * down + 5, 3 * right + 1)):
        pixels = np.random.default_rng(0).integers(0, 256, (count, 3, side + height, side + width)).astype(np.uint8)
        assert apart(compute(pixels.astype(np.float32)), model(pixels)) <= SHARE


def test_a_network_whose_operations_depend_on_the_size_is_refused(tmp_path: Path):
    network = next(odd for odd in ODD_NETWORKS if odd.name == "uneven_maximum")
    bundle = of_any_size(untrained(replace(network, input=(3, *network.input[1:]))))
    to_pt2.write(bundle, tmp_path / "model.pt2", size="free")
    with pytest.raises(VerificationError, match="the exported graph does not take images of ") as caught:
        to_pt2.runner(tmp_path / "model.pt2")(np.zeros((1, *bundle.network.input), np.float32))
    assert (caught.value.code, caught.value.exit_code) == ("EXPORT-MISMATCH", 8)


@pytest.mark.parametrize("step", ["export", "save"])
def test_what_pytorch_cannot_do_is_one_line(step, tmp_path, monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise AttributeError("no such operation\nand a page about it")

    monkeypatch.setattr(torch.export, step, fail)
    code, line = refused(saved(untrained(SMALL), tmp_path), "pt2", capsys)
    assert code == 2
    assert line.startswith("[EXPORT-NETWORK]: PyTorch makes no graph of vgg_pixels: no such operation. Export it with")


def test_a_full_disk_is_said_to_be_that(tmp_path, monkeypatch, capsys):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(to_pt2, "write_synced", full)
    code, line = refused(saved(untrained(SMALL), tmp_path), "pt2", capsys)
    assert (code, line[:11]) == (6, "[DISK-FULL]")


def test_a_file_that_is_not_the_model_is_deleted(tmp_path, monkeypatch, capsys):
    model = saved(untrained(SMALL), tmp_path)
    damage(monkeypatch, "pt2")
    code, line = refused(model, "pt2", capsys)
    assert code == 8
    assert line.startswith("[EXPORT-MISMATCH]: the exported file is not the model: at batch 1 of 8x8 a logit is off")


@pytest.mark.parametrize("size", ["fixed", "free"])
def test_what_is_right_is_kept_and_said(size, tmp_path):
    done = export(saved(untrained(SMALL), tmp_path), "digits", to="pt2", size=size)
    assert done.files == (("mine.pt2",) if size == "fixed" else ("mine.free.pt2",))
    assert done.checked.batches == (1, 2, 7)
    assert done.preprocessing["mean"] == [0.0]
