"""Preprocessing and class names of imported weights: as found, or as given, and never guessed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from verydeep.errors import ConfigError
from verydeep.families.vgg import vgg
from verydeep.preprocessing import Preprocessing
from verydeep.weights import imagenet
from verydeep.weights.complete import PREPROCESSING, classes_of, preprocessing_of
from verydeep.weights.importing import Imported

NET = vgg(((1, 2),), input=(3, 224, 224), classes=3, fc=())
FOUND = Imported(NET, {}, imagenet.MEAN_PIXEL, ("a", "b", "c"), "caffe", ())


def test_what_was_found_holds_unless_something_is_given(tmp_path):
    assert preprocessing_of(FOUND, None) == imagenet.MEAN_PIXEL
    assert preprocessing_of(FOUND, "torchvision") == imagenet.MEAN_AND_DEVIATION
    assert classes_of(FOUND, None) == ("a", "b", "c")
    (tmp_path / "names.txt").write_text("\ufeffcat\n\n dog \nca\xefman\n", encoding="utf-8")
    assert classes_of(FOUND, tmp_path / "names.txt") == ("cat", "dog", "ca\xefman")


def test_what_nobody_knows_is_not_guessed():
    with pytest.raises(ConfigError, match=r"nothing tells how images become .* Give --preprocessing torch") as refused:
        preprocessing_of(replace(FOUND, preprocessing=None), None)
    assert refused.value.code == "PREPROCESS-MISSING"


@pytest.mark.parametrize("name", PREPROCESSING)
def test_a_named_preprocessing_is_scaled_to_the_network(name):
    small = replace(FOUND, network=vgg(((1, 2),), input=(3, 112, 96), classes=3, fc=()))
    record = preprocessing_of(small, name)
    assert record.size == (112, 96)
    assert record.resize == round((PREPROCESSING[name].resize or 0) * 96 / 224)


def test_a_preprocessing_of_ones_own_is_read_from_json(tmp_path):
    own = Preprocessing(3, (224, 224), None, "center", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "BGR")
    (tmp_path / "own.json").write_text(json.dumps(own.to_json()))
    assert preprocessing_of(FOUND, str(tmp_path / "own.json")) == own


GREY = Preprocessing(1, (224, 224), None, "center", (0.0,), (1.0,), "grey").to_json()


@pytest.mark.parametrize(
    ("given", "text", "said"),
    [
        ("torchvison", None, "no preprocessing is called 'torchvison'. Did you mean torchvision?"),
        ("imagenet", None, "no preprocessing is called 'imagenet'. Choose torchvision, "),
        ("none.json", None, "none.json cannot be read: No such file"),
        ("a.json", "{", "a.json is not JSON"),
        ("a.json", "[" * 100_000, "a.json is not JSON"),
        ("a.json", "{}", "missing or unknown keys: channels"),
        ("a.json", json.dumps(GREY), "makes 1 channels of 224x224, and vgg reads 3 of 224x224"),
    ],
)
def test_a_preprocessing_that_does_not_fit_is_refused(tmp_path, given, text, said):
    if text is not None:
        (tmp_path / given).write_text(text)
    with pytest.raises(ConfigError) as refused:
        preprocessing_of(FOUND, str(tmp_path / given) if given.endswith(".json") else given)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("text", "said"), [("a\nb\n", "has 2 different"), ("a\nb\na", "has 2 different"), ("", "has 0")]
)
def test_names_that_are_not_one_for_each_output_are_refused(tmp_path, text, said):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(ConfigError, match=f"{said} .*3 outputs"):
        classes_of(FOUND, tmp_path / "names.txt")
    with pytest.raises(ConfigError, match=r"--classes .* cannot be read: No such file"):
        classes_of(FOUND, Path("nowhere.txt"))
