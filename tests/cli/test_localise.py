"""`verydeep localise`: from a classifier to boxes, and what is refused on the way."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verydeep.data.digits import CLASSES
from verydeep.families.vgg import vgg
from verydeep.localise import load
from verydeep.localise.synthetic import load_synthetic
from verydeep.preprocessing import Preprocessing
from verydeep.run_files import MODEL
from verydeep.weights import canonical
from verydeep.weights.initial import initial


@pytest.fixture
def few(monkeypatch, tmp_path):
    """A folder with a classifier in it; the embedded set is 24 images long."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "load_synthetic", lambda *, split: load_synthetic(split=split, count=24))
    network = vgg(((1, 4), (1, 8)), input=(3, 32, 32), classes=10, fc=(8, 8))
    made = Preprocessing(3, (32, 32), 40, "center", (80.0, 80.0, 80.0), (60.0, 60.0, 60.0), "RGB")
    Path("classifier").mkdir()
    canonical.save(
        Path("classifier") / MODEL,
        network=network,
        weights=initial(network),
        preprocessing=made.to_json(),
        classes=CLASSES,
    )
    return tmp_path


QUICK = ("--epochs", "1", "--batch", "8", "--lr", "0.01", "--device", "cpu")


def test_a_classifier_becomes_a_localiser_that_is_measured_and_asked(verydeep, few):
    done = verydeep(
        "localise", "train", "classifier", *QUICK, "--boxes", "single-class", "--tune", "fc", "--out", "one"
    )
    assert (done.code, done.out) == (0, "")
    assert "epoch 1: loss " in done.err and "vgg_scr in one" in done.err
    assert verydeep("localise", "train", "classifier", "synthetic", *QUICK, "--out", "two").code == 0

    one = json.loads(verydeep("localise", "evaluate", "one", "--format", "json").out)
    assert set(one) == {"protocol", "images", "ground_truth_error", "top5_error", "constant_error", "scales"}
    assert (one["protocol"], one["images"], one["top5_error"]) == (1, 24, None)
    two = json.loads(
        verydeep(
            "localise", "evaluate", "one", "synthetic", "--protocol", "2", "--fuse", "two", "--scales", "32", "40",
            "--format", "json",
        ).out
    )  # fmt: skip
    assert (two["protocol"], two["scales"]) == (2, [32, 40])
    assert "five guesses" in verydeep("localise", "evaluate", "one", "--protocol", "2").out

    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save("photo.png")
    found = json.loads(verydeep("localise", "predict", "one", "photo.png", "--top", "2", "--format", "json").out)
    assert [len(entry["objects"]) for entry in found["predictions"]] == [2]
    assert verydeep("localise", "predict", "one", "photo.png", "--format", "csv").out.startswith("path,rank,class,")
    Path("bad.png").write_text("no image")
    done = verydeep("localise", "predict", "one", "photo.png", "bad.png")
    assert (done.code, "unreadable" in done.out) == (3, True)

    taken = verydeep("localise", "train", "classifier", *QUICK, "--out", "one")
    assert taken.code == 2 and "error[OUT-TAKEN]" in taken.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate", "classifier"), "error[LOCALISER-MISSING]: classifier is no localiser"),
        (("evaluate", "nowhere"), "error[LOCALISER-MISSING]"),
        (("train", "nowhere", "--out", "x"), "error[RUN-MISSING]"),
        (("train", "classifier", "voc207", "--out", "x"), "Did you mean voc2007?"),
        (("train", "classifier", "voc2007", "--data-root", "/no/such/place", "--out", "x"), "error[DATA-MISSING]"),
        (("train", "classifier", "--boxes", "both", "--out", "x"), "error[USAGE]"),
        (("train", "classifier", "--epochs", "0", "--out", "x"), "epochs is 0"),
        (("train", "classifier", "--scale", "20", "30", "--out", "x"), "does not hold a crop of 32"),
        (("train", "classifier"), "--out"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(verydeep, few, words, said):
    done = verydeep("localise", *words)
    assert done.code in (2, 3, 4)
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not Path("x").exists()
