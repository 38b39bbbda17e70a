"""A .pte file computes, in ExecuTorch's own runtime, what the model computes."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import verydeep as vd
from tests.deploy.bundles import SHARE, apart
from tests.deploy.models import elsewhere, saved, untrained
from tests.deploy.refusals import damage, refused, take_away
from verydeep.data.split import FileSplit
from verydeep.deploy.bundle import for_pixels
from verydeep.deploy.formats import format_of, writer
from verydeep.deploy.images import spread
from verydeep.deploy.verify import model_of
from verydeep.spec import LRN, Block, Flatten, Linear, Network, ReLU, conv, pool

pytest.importorskip("executorch")
pytestmark = pytest.mark.filterwarnings("ignore:read_(binary|text) is deprecated:DeprecationWarning")  # executorch 1.5


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Its import, under whatever warnings it gives: they are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer(format_of("executorch"))


# LRN is what ExecuTorch has no kernel for.
BODY = Block("block1", (conv("conv1", 8, padding=1), ReLU("relu1"), LRN("lrn1"), pool("pool1", kernel=4, stride=4)))
THIN = Network("thin", (3, 32, 32), (BODY, Block("head", (Flatten("flatten"), Linear("fc", 10)))))
SMALL = vd.vgg(((1, 4),), input=(1, 8, 8), classes=10, fc=())

THEIRS = """
import torch
from executorch.runtime import Runtime
program = Runtime.get().load_program("model.pte")
method = program.load_method("forward")
logits = np.concatenate([method.execute([torch.from_numpy(part)])[0] for part in np.split(images, (1, 3, 10))])
names = ("classes", "preprocessing", "verydeep")
print(json.dumps({name: json.loads(program.load_method(name).execute([])[0]) for name in names}))
"""


def test_the_runtime_alone_gives_the_logits_of_photographs_and_the_names(photographs: FileSplit, tmp_path: Path):
    """In batches of 1, 2, 7 and 8, the largest."""
    bundle = replace(untrained(THIN), classes=("Katze", "naïve 猫", *"23456789"))
    writer(format_of("executorch")).write(for_pixels(bundle), tmp_path / "model.pte", size="fixed")
    pixels = spread(photographs, 18, preprocessing=bundle.preprocessing).pixels
    found, printed = elsewhere(THEIRS, pixels.astype(np.float32), tmp_path)
    expected, texts = model_of(bundle)(pixels), json.loads(printed.splitlines()[-1])
    assert apart(found, expected) <= SHARE
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert tuple(texts["classes"]) == bundle.classes
    assert texts["preprocessing"] == for_pixels(bundle).preprocessing.to_json()
    assert texts["verydeep"]["blocks"][0]["name"] == "normalize"


def test_a_batch_beyond_the_largest_is_an_error_with_one_line(tmp_path: Path):
    module = writer(format_of("executorch"))
    module.write(for_pixels(untrained(SMALL)), tmp_path / "model.pte", size="fixed")
    compute = module.runner(tmp_path / "model.pte")
    assert compute(np.zeros((8, 1, 8, 8), np.float32)).shape == (8, 10)
    with pytest.raises(vd.VerydeepError, match="ExecuTorch's runtime cannot run the exported file") as caught:
        compute(np.zeros((9, 1, 8, 8), np.float32))
    assert caught.value.exit_code == 8


def test_a_file_that_is_not_the_model_is_deleted(tmp_path, monkeypatch, capsys):
    model = saved(untrained(SMALL), tmp_path)
    damage(monkeypatch, "executorch")
    code, line = refused(model, "executorch", capsys)
    assert code == 8
    assert line.startswith("[EXPORT-MISMATCH]: the exported file is not the model: at batch 1 of 8x8 a logit is off")


def test_it_is_written_for_one_size(tmp_path, capsys):
    code, line = refused(saved(untrained(SMALL), tmp_path), "executorch", capsys, "--size", "free")
    assert code == 2
    assert line.startswith("[EXPORT-OPTION]: ExecuTorch is written for images of size fixed, not 'free'")


def test_without_executorch_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    take_away(monkeypatch, "executorch", to="executorch")
    code, line = refused(saved(untrained(SMALL), tmp_path), "executorch", capsys)
    assert code == 2
    assert line.startswith("[EXTRA-MISSING]: this needs executorch")
    assert line.endswith("which is not installed. Run: pip install 'verydeep[executorch]'")
