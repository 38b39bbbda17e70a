"""Embedded and official data sets: shapes, checksums, and what is said when they are missing."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest
import torchvision

from verydeep.data import mnist
from verydeep.data.catalog import DATASETS, load
from verydeep.data.split import fingerprint
from verydeep.errors import ConfigError, DataError


def test_digits_have_1437_train_and_360_test_images():
    train, test = load("digits", split="train"), load("digits", split="test")
    assert train.images.shape == (1437, 1, 8, 8) and test.images.shape == (360, 1, 8, 8)
    assert train.classes == test.classes == tuple("0123456789")
    assert train.images.max() == 255 and train.images.min() == 0
    assert np.bincount(test.labels).tolist() == pytest.approx([36] * 10, abs=2)
    assert (train.name, test.name) == ("digits train", "digits test")


def test_the_split_of_digits_never_changes():
    marks = [fingerprint(load("digits", split=part))[:12] for part in ("train", "test")]
    assert marks == ["68cd56e50382", "1374b029593e"]


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_official_files_are_read_and_checked(shared_data, name):
    test = load(name, split="test", root=shared_data)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert np.bincount(test.labels, minlength=10).min() > 800
    assert len(test.classes) == 10 and test.classes[0] == {"mnist": "0", "fashion-mnist": "T-shirt/top"}[name]


def test_fashion_mnist_has_60000_train_images_6000_of_each_class(shared_data):
    train = load("fashion-mnist", split="train", root=shared_data)
    assert train.images.shape == (60_000, 1, 28, 28)
    assert np.bincount(train.labels).tolist() == [6_000] * 10
    assert train.images.mean() == pytest.approx(72.94, abs=0.01)


def test_a_data_set_is_found_through_the_environment(shared_data, monkeypatch):
    monkeypatch.setenv("VERYDEEP_DATA", str(shared_data))
    assert len(load("fashion-mnist", split="test")) == 10_000


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_a_missing_set_names_the_file_the_folder_and_the_flags(tmp_path, name):
    with pytest.raises(DataError) as caught:
        load(name, split="test", root=tmp_path)
    text = str(caught.value)
    assert caught.value.code == "DATA-MISSING"
    file = {"cifar10": "batches.meta", "cifar100": "meta"}.get(name, "t10k-images-idx3-ubyte.gz")
    assert all(part in text for part in (name, file, str(tmp_path), "--data-root DIR", "--download"))


def test_nothing_is_downloaded_unless_asked_for(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("a download was started")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    for name in ("mnist", "fashion-mnist", "cifar10", "cifar10-jpeg", "cifar100", "folder", "imagenet"):
        with pytest.raises(DataError):
            load(name, split="train", root=tmp_path)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_a_failed_download_is_an_error_of_one_line(tmp_path, monkeypatch, name):
    def offline(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(DataError) as caught:
        load(name, split="train", root=tmp_path, download=True)
    assert caught.value.code == "DATA-DOWNLOAD"


def test_without_a_root_the_data_folder_here_is_searched(monkeypatch, tmp_path):
    monkeypatch.delenv("VERYDEEP_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="data/mnist"):
        load("mnist", split="train")


def test_a_damaged_official_file_is_refused_with_its_checksum(shared_data, tmp_path):
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for file in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        whole = bytearray((shared_data / "fashion-mnist" / file).read_bytes())
        whole[len(whole) // 2] ^= 1
        (folder / file).write_bytes(whole)
    with pytest.raises(DataError, match="bef4ecab320f06d8554ea6380940ec79") as caught:
        load("fashion-mnist", split="test", root=tmp_path)
    assert caught.value.code == "DATA-CORRUPT"


def test_the_files_of_another_set_are_refused(shared_data):
    with pytest.raises(DataError, match="not the official file"):
        load("mnist", split="test", root=shared_data / "fashion-mnist")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b""),
        gzip.compress(struct.pack(">HBBI", 0, 8, 1, 9)),
        gzip.compress(b"\0\0\x0d\0"),
        gzip.compress(struct.pack(">HBBI", 0, 0x0D, 1, 2) + b"ab"),
    ],
    ids=["empty", "no gzip", "empty gzip", "cut off", "half a header", "another type"],
)
def test_a_file_that_is_not_idx_is_refused(tmp_path, content):
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not an IDX file"):
        mnist._idx(path, hashlib.md5(content).hexdigest())


@pytest.fixture
def fake_cifar(tmp_path, monkeypatch):
    """Both CIFAR sets in their official format with 4 images per file; torchvision's checksums are set aside."""
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda path, md5=None: True)
    generator = np.random.default_rng(0)

    def batch(key):
        return {"data": generator.integers(0, 256, (4, 3072), dtype=np.uint8), key: [0, 1, 2, 3]}

    ten, hundred = tmp_path / "cifar-10-batches-py", tmp_path / "cifar100" / "cifar-100-python"
    files = {ten / f"data_batch_{i}": batch("labels") for i in range(1, 6)} | {ten / "test_batch": batch("labels")}
    files |= {hundred / name: batch("fine_labels") for name in ("train", "test")}
    files |= {ten / "batches.meta": {"label_names": [f"class {i}" for i in range(10)]}}
    files |= {hundred / "meta": {"fine_label_names": [f"fine {i}" for i in range(100)]}}
    for path, value in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(value))
    return files


def test_cifar10_keeps_channels_rows_and_labels(fake_cifar, tmp_path):
    train, test = (load("cifar10", split=part, root=tmp_path) for part in ("train", "test"))
    assert train.images.shape == (20, 3, 32, 32) and test.images.shape == (4, 3, 32, 32)
    first = fake_cifar[tmp_path / "cifar-10-batches-py" / "data_batch_1"]["data"][0]
    assert (train.images[0] == first.reshape(3, 32, 32)).all()
    assert train.labels.tolist() == [0, 1, 2, 3] * 5
    assert train.classes[9] == "class 9"


def test_cifar100_uses_the_fine_classes(fake_cifar, tmp_path):
    test = load("cifar100", split="test", root=tmp_path)
    assert test.images.shape == (4, 3, 32, 32) and len(test.classes) == 100 and test.classes[99] == "fine 99"


def test_a_cifar_file_with_another_checksum_is_never_opened(fake_cifar, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("pickle.load", lambda *args, **options: pytest.fail("an unchecked pickle was opened"))
    with pytest.raises(DataError, match="md5 differs"):
        load("cifar10", split="train", root=tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no data set 'fashionmnist'.*fashion-mnist"):
        load("fashionmnist", split="train")
    with pytest.raises(ConfigError, match="Known are digits, mnist"):
        load("qqqq", split="train")


def test_there_is_no_validation_split_to_load():
    with pytest.raises(ConfigError, match="hold_out"):
        load("digits", split="val")  # pyright: ignore[reportArgumentType]


def test_the_catalog_says_what_the_embedded_set_is():
    for name, dataset in DATASETS.items():
        assert dataset.name == name and dataset.title and dataset.source
    digits = load("digits", split="train")
    assert DATASETS["digits"].shape == digits.images.shape[1:] and DATASETS["digits"].classes == len(digits.classes)


def test_a_run_folder_is_no_data_set_and_its_checkpoints_are_no_classes(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("config.yaml", "network.json"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=r"is a run, not a data set.*verydeep resume"):
        load(str(tmp_path), split="train")
