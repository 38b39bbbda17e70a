"""The JPEG copy of CIFAR-10: official order and classes, one decoder, a checksum, and never a download."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verydeep.data import cifar10_jpeg
from verydeep.data.catalog import DATASETS, load
from verydeep.errors import DataError
from verydeep.settings.recipes import resolve


@pytest.fixture
def archive(shared_data: Path) -> Path:
    return shared_data / cifar10_jpeg.NAME / cifar10_jpeg.FILE


def test_it_has_10000_test_images_1000_of_each_class(shared_data: Path):
    test = load("cifar10-jpeg", split="test", root=shared_data)
    assert test.images.shape == (10_000, *(DATASETS["cifar10-jpeg"].shape or ()))
    assert np.bincount(test.labels).tolist() == [1_000] * 10
    assert test.name == "cifar10-jpeg test" and len(test.classes) == DATASETS["cifar10-jpeg"].classes


@pytest.mark.parametrize(("split", "first"), [("train", 0), ("test", 50_000)])
def test_the_images_of_both_splits_are_those_that_pillow_reads_in_the_official_order(archive: Path, split, first):
    found = cifar10_jpeg.read(archive, split=split, most=5)
    with np.load(archive) as held:
        start, stop = held["offsets"][first + 4 : first + 6]
        fifth = held["header"].tobytes() + held["data"].tobytes()[start:stop]
        assert found.labels.tolist() == held[f"{split}_labels"][:5].tolist()
    assert found.images.shape == (5, 3, 32, 32)
    assert np.array_equal(found.images[4].transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(fifth))))


def test_the_last_image_of_a_split_is_read_too(archive: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cifar10_jpeg, "FIRST", {"test": 59_998})
    assert len(cifar10_jpeg.read(archive, split="test", most=2)) == 2


def test_its_first_training_images_are_the_frog_and_the_truck_of_the_official_set(archive: Path):
    train = cifar10_jpeg.read(archive, split="train", most=2)
    assert [train.classes[label] for label in train.labels] == ["frog", "truck"]


def test_a_missing_archive_is_named_and_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a download was started")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DataError, match=r"cifar10_jpeg\.npz is missing; searched in .*cannot be fetched") as caught:
        load("cifar10-jpeg", split="train", root=tmp_path, download=True)
    assert caught.value.code == "DATA-MISSING" and "--data-root DIR" in caught.value.line()


def test_another_archive_is_refused_before_it_is_opened(archive: Path, tmp_path: Path):
    copy = tmp_path / cifar10_jpeg.FILE
    shutil.copyfile(archive, copy)
    with copy.open("r+b") as file:
        file.seek(9_000_000)
        file.write(b"\0\0\0\0")
    with pytest.raises(DataError, match=r"cifar10_jpeg\.npz is not the copy that is known") as caught:
        load("cifar10-jpeg", split="test", root=tmp_path)
    assert caught.value.code == "DATA-CORRUPT"


def test_its_recipe_is_that_of_small_coloured_images():
    assert resolve({"data": "cifar10-jpeg"}).recipe == "cifar"
