"""The layouts of Caltech-101 and Caltech-256, on tiny trees."""

import numpy as np
import pytest

from tests.transfer.nets import photographs
from verydeep.errors import DataError
from verydeep.transfer import caltech
from verydeep.transfer.partitions import Shares

FEW = Shares(partitions=2, train=2, test=2)


@pytest.fixture
def root(tmp_path):
    for name, count in (("BACKGROUND_Google", 4), ("Faces", 5), ("accordion", 3)):
        photographs(tmp_path / "101_ObjectCategories" / name, [(12, 12)] * count)
    for name, count in (("001.ak47", 3), ("056.dog", 4), ("257.clutter", 3)):
        photographs(tmp_path / "caltech256" / "256_ObjectCategories" / name, [(12, 12)] * count)
    photographs(tmp_path / "caltech256" / "256_ObjectCategories" / "056.dog" / "greg", [(12, 12)] * 9)
    return tmp_path


def test_the_background_is_a_class_as_in_the_paper(root):
    found = caltech.load("caltech101", root=root, seed=0, shares=FEW)
    assert found.classes == ("BACKGROUND_Google", "Faces", "accordion")
    assert (len(found.images), found.measure, len(found.partitions)) == (12, "mean-class-recall", 2)
    assert (found.truth == 1).sum(axis=0).tolist() == [4, 5, 3]
    for part in found.partitions:
        assert (found.truth[part.train] == 1).sum(axis=0).tolist() == [2, 2, 2]
        assert (found.truth[part.test] == 1).sum(axis=0).tolist() == [2, 2, 1]
        assert not np.intersect1d(part.train, part.test).size


def test_the_background_can_be_left_out(root):
    assert caltech.load("caltech101", root=root, seed=0, shares=FEW, background="drop").classes == (
        "Faces",
        "accordion",
    )


def test_256_passes_over_the_folders_left_in_its_archive(root):
    found = caltech.load("caltech256", root=root, seed=0, shares=FEW)
    assert found.classes == ("001.ak47", "056.dog", "257.clutter")
    assert (found.truth == 1).sum(axis=0).tolist() == [3, 4, 3]


def test_the_usual_shares_are_the_papers(root):
    assert caltech.COLLECTIONS["caltech101"].shares == Shares(partitions=3, train=30, test=50)
    assert caltech.COLLECTIONS["caltech256"].shares == Shares(partitions=3, train=60, test=None)
    with pytest.raises(DataError, match="class 'accordion' has 3 images, and 30 of each class"):
        caltech.load("caltech101", root=root, seed=0)


@pytest.mark.parametrize("around", ["101_ObjectCategories", ""])
def test_the_root_may_be_the_folder_of_classes_itself(root, around):
    assert len(caltech.load("caltech101", root=root / around, seed=0, shares=FEW).images) == 12


def test_a_set_that_is_not_there_and_a_class_without_images_are_named(root, tmp_path):
    with pytest.raises(DataError, match="caltech101: the folder 101_ObjectCategories is missing; searched in"):
        caltech.load("caltech101", root=tmp_path / "elsewhere", seed=0)
    (root / "101_ObjectCategories" / "anchor").mkdir()
    with pytest.raises(DataError, match="anchor has no images"):
        caltech.load("caltech101", root=root, seed=0, shares=FEW)
