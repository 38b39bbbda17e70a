"""`verydeep features` and `verydeep transfer`: what they write, print and refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.transfer.nets import photographs, small_run
from verydeep.data import digits
from verydeep.run import open_run
from verydeep.transfer.aggregation import Aggregation
from verydeep.transfer.descriptors import describe
from verydeep.weights import canonical


@pytest.fixture
def model(tmp_path):
    """A model's file."""
    run, path = small_run(), tmp_path / "model.safetensors"
    canonical.save(path, network=run.network, weights=run.weights, preprocessing=run.preprocessing.to_json())
    return path


@pytest.fixture
def photos(in_an_empty_folder):
    """Three images and a damaged one."""
    photographs(in_an_empty_folder / "photos", [(20, 30), (16, 16), (30, 20)])
    (in_an_empty_folder / "photos" / "bad.png").write_bytes(b"damaged")
    return in_an_empty_folder / "photos"


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_one_file_holds_names_layers_and_what_was_done(verydeep, model, photos):
    (photos / "bad.png").unlink()
    done = verydeep(
        "features", model, "photos", "--layers", "relu2_1,relu1_1", "--scales", 16, 20, "--combine", "stacked",
        "--out", "x.npz",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = read("x.npz")
    assert found["names"].tolist() == ["photos/0.png", "photos/1.png", "photos/2.png"]
    assert (found["relu2_1"].shape, found["relu1_1"].shape) == ((3, 16), (3, 12))
    record = json.loads(str(found["record"]))
    assert record["layers"] == {"relu2_1": [16], "relu1_1": [12]}
    assert (record["scales"], record["combine"], record["flip"], record["normalize"]) == (
        [16, 20],
        "stacked",
        True,
        "l2",
    )
    assert record["preprocessing"]["crop"] == "none"
    assert record["unreadable"] == []
    how = Aggregation((16, 20), combine="stacked")
    expected = describe(open_run(model), found["names"].tolist(), layers=("relu2_1",), aggregation=how)
    np.testing.assert_array_equal(found["relu2_1"], expected.arrays["relu2_1"])
    assert "x.npz: 3 images, relu2_1 16, relu1_1 12; scales 16, 20" in done.out


def test_an_unreadable_image_is_named_and_the_others_are_written(verydeep, model, photos):
    done = verydeep("features", model, "photos", "photos/0.png", "--out", "x.npz", "--format", "json")
    assert done.code == 3
    assert "error[IMAGES-UNREADABLE]: 1 of 4 images could not be read, the first: cannot read the image" in done.err
    found, said = read("x.npz"), json.loads(done.out)
    assert found["names"].tolist() == ["photos/0.png", "photos/1.png", "photos/2.png"]
    (record,) = json.loads(str(found["record"]))["unreadable"]
    assert record == said["unreadable"][0]
    assert record["path"] == "photos/bad.png"


def test_maps_can_be_kept_as_they_are(verydeep, model, photos):
    done = verydeep(
        "features",
        model,
        "photos/1.png",
        "--layers",
        "relu1_1",
        "--pool",
        "none",
        "--scales",
        16,
        "--out",
        "x.npz",
    )
    assert done.code == 0, done.err
    assert read("x.npz")["relu1_1"].shape == (1, 6, 16, 16)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("photos", "--out", "none/x.npz"), 2, "there is no folder none"),
        (("photos", "--out", "photos"), 2, "it is a folder"),
        (("photos", "--out", "x.npz", "--scales", 15), 2, "error[SCALE-SMALL]: scale 15 is below the 16 pixels"),
        (("photos", "--out", "x.npz", "--layers", "fc9"), 2, "no layer 'fc9'"),
        (("photos", "--out", "x.npz", "--pool", "none", "--flip"), 2, "error[OPTIONS-DISAGREE]"),
        (("photos", "--out", "x.npz", "--scales", 200000), 6, "error[SCALE-MEMORY]: scale 200000 needs about"),
        (("nowhere.png", "--out", "x.npz"), 3, "matches no image file"),
        (("--out", "x.npz"), 3, "no images are given"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(refused, model, photos, words, code, said):
    assert said in refused("features", model, *words, code=code)


@pytest.fixture
def classes(in_an_empty_folder):
    split = digits.load(split="test", root=Path(), download=False)
    for label in range(3):
        for number, image in enumerate(split.images[split.labels == label][:8]):
            path = Path("classes") / ("train" if number < 6 else "val") / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(path)


def test_transfer_prints_a_table_and_keeps_the_result(verydeep, model, classes):
    words = ("transfer", model, "classes", "--baseline", "pixels", "--costs", 1, 10, "--out", "r.json")
    done = verydeep(*words)
    assert done.code == 0, done.err
    assert "classes: 24 images of 3 classes, 1 partition; percent" in done.out
    record = json.loads(Path("r.json").read_text())
    assert [row["name"] for row in record["rows"]] == [str(model), "pixels 32x32"]
    assert record["costs"] == [1.0, 10.0]
    assert json.loads(verydeep(*words, "--format", "json").out) == record
    assert "| pixels 32x32 | 3072 |" in verydeep(*words, "--format", "markdown").out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("classes",), 2, "a run and a data set are needed"),
        (("RUN", "nothing"), 2, "there is no data set 'nothing'"),
        (("RUN", "voc2007", "--data-root", "."), 3, "voc2007: the folder ImageSets/Main is missing"),
        (("RUN", "caltech101", "--data-root", "."), 3, "caltech101: the folder 101_ObjectCategories is missing"),
        (("RUN", "classes", "--train-images", 3), 2, "has training and test images of its own"),
        (("RUN", "classes", "--costs", 0), 2, "C is one of"),
        (("RUN", "classes", "--scales", 5), 2, "error[SCALE-SMALL]"),
        (("RUN", "classes", "--layer", "fc9"), 2, "no layer 'fc9'"),
    ],
)
def test_transfer_refuses_in_one_line(refused, model, classes, words, code, said):
    assert said in refused("transfer", *(model if word == "RUN" else word for word in words), code=code)
