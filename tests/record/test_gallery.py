"""The mistakes a network is surest of."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from verydeep.data.split import FileSplit, MemorySplit
from verydeep.errors import DataError, NumericalError
from verydeep.record.gallery import THUMBNAIL, data_uri, worst


def small(labels, *, channels=1):
    images = np.arange(len(labels) * channels * 16, dtype=np.uint8).reshape(len(labels), channels, 4, 4)
    return MemorySplit("small", ("a", "b", "c"), np.array(labels, dtype=np.int64), images)


def test_the_surest_mistakes_come_first_and_right_answers_never():
    logits = np.array([[9.0, 0, 0], [2, 0, 0], [5, 0, 0], [0, 9, 0]])
    found = worst(small([0, 1, 2, 0]), logits)
    assert [(one.name, one.truth, one.predicted) for one in found] == [
        ("image 3", "a", "b"),
        ("image 2", "c", "a"),
        ("image 1", "b", "a"),
    ]
    assert found[1].confidence == pytest.approx(np.exp(5) / (np.exp(5) + 2))


def test_at_most_count_mistakes_and_equal_ones_in_the_order_of_the_split():
    logits = np.tile([4.0, 0, 0], (6, 1))
    assert [one.name for one in worst(small([1] * 6), logits, count=3)] == ["image 0", "image 1", "image 2"]


def test_a_perfect_network_and_an_empty_split_have_none():
    assert worst(small([0, 1]), np.eye(3)[:2]) == []
    assert worst(small([]), np.zeros((0, 3))) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_images_in_memory_are_shown_as_they_are(channels):
    split = small([1], channels=channels)
    (found,) = worst(split, np.array([[1.0, 0, 0]]))
    assert np.array_equal(found.image, split.images[0].transpose(1, 2, 0))


def test_files_are_decoded_made_small_and_named_from_the_data_sets_folder(tmp_path):
    path = tmp_path / "b" / "wide.png"
    path.parent.mkdir()
    Image.new("RGB", (800, 400), (200, 30, 40)).save(path)
    split = FileSplit("files", ("a", "b"), np.array([1]), (str(path),), root=str(tmp_path))
    (found,) = worst(split, np.array([[3.0, 0]]))
    assert (found.image.shape, found.name) == ((THUMBNAIL // 2, THUMBNAIL, 3), "b/wide.png")
    assert found.image[0, 0].tolist() == [200, 30, 40]


def test_scores_that_do_not_fit_or_are_not_finite_are_refused():
    with pytest.raises(DataError, match="2 images and 3 classes"):
        worst(small([0, 1]), np.zeros((2, 4)))
    with pytest.raises(NumericalError):
        worst(small([0, 1]), np.full((2, 3), np.nan))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_data_address_holds_the_same_pixels(channels):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    kind, content = data_uri(image).split(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as read:
        assert np.array_equal(np.array(read).reshape(image.shape), image)
