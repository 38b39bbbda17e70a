"""The layout of PASCAL VOC, on a tiny tree; every fault in one clear line."""

import numpy as np
import pytest

from tests.transfer.nets import photographs
from verydeep.errors import DataError
from verydeep.transfer import voc

TRAIN, TEST = ("000005", "000007", "000012"), ("000001", "000002")


@pytest.fixture
def root(tmp_path):
    """VOC2007 with three photographs for training and two for the test; image i shows class i; one is difficult."""
    home = tmp_path / "VOCdevkit" / "VOC2007"
    main = home / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for of, numbers in (("trainval", TRAIN), ("test", TEST)):
        for place, name in enumerate(voc.CLASSES):
            lines = [f"{number} {1 if i == place else -1:2d}" for i, number in enumerate(numbers)]
            (main / f"{name}_{of}.txt").write_text("\n".join(lines) + "\n")
    change(tmp_path, "bird_trainval.txt", "000005 -1", "000005  0")
    photographs(home / "JPEGImages", [(20, 20)] * 5)
    for number, path in zip((*TRAIN, *TEST), sorted((home / "JPEGImages").iterdir()), strict=True):
        path.rename(path.with_name(f"{number}.jpg"))
    return tmp_path


def change(root, file, before, after):
    path = root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def refusal(root, code):
    with pytest.raises(DataError) as refused:
        voc.load("voc2007", root=root)
    assert refused.value.code == code
    return refused.value.line()


def test_photographs_and_truth_are_read(root):
    found = voc.load("voc2007", root=root)
    assert (len(found.classes), found.measure) == (20, "average-precision")
    assert [path.rpartition("/")[2] for path in found.images] == [f"{number}.jpg" for number in (*TRAIN, *TEST)]
    expected = np.full((5, 20), -1)
    expected[[0, 1, 2, 3, 4], [0, 1, 2, 0, 1]] = 1
    expected[0, 2] = 0
    np.testing.assert_array_equal(found.truth, expected)
    (part,) = found.partitions
    assert (part.train.tolist(), part.test.tolist()) == ([0, 1, 2], [3, 4])


@pytest.mark.parametrize("place", ["VOCdevkit", "VOCdevkit/VOC2007"])
def test_the_root_may_be_any_folder_around_it(root, place):
    assert len(voc.load("voc2007", root=root / place).images) == 5


def test_2012_is_tested_on_its_validation_photographs(root):
    with pytest.raises(DataError, match="voc2012: the folder ImageSets/Main is missing"):
        voc.load("voc2012", root=root)
    home = (root / "VOCdevkit" / "VOC2007").rename(root / "VOCdevkit" / "VOC2012")
    for path in (home / "ImageSets" / "Main").iterdir():
        path.rename(path.with_name(path.name.replace("trainval", "train").replace("test", "val")))
    assert len(voc.load("voc2012", root=root).images) == 5


@pytest.mark.parametrize("line", ["000005 2", "000005", "-1 000005 1", "../../x 1", "000005 1 1"])
def test_a_bad_line_is_named_with_its_place(root, line):
    change(root, "cat_trainval.txt", "000005 -1", line)
    said = refusal(root, "DATA-LINE")
    assert "cat_trainval.txt, line 1:" in said
    assert line in said


def test_a_photograph_that_is_listed_twice_is_refused(root):
    change(root, "cat_trainval.txt", "000007 -1", "000005 -1")
    assert "line 2: '000005 -1' is listed twice" in refusal(root, "DATA-LINE")


def test_an_unknown_class_is_refused_with_the_nearest(root):
    main = root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    (main / "hors_test.txt").write_text("000001 1\n")
    assert "VOC has no class 'hors'. Did you mean horse?" in refusal(root, "DATA-CLASSES")


def test_a_class_without_its_file_is_refused(root):
    (root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "sofa_test.txt").unlink()
    assert "sofa_test.txt is missing" in refusal(root, "DATA-MISSING")


def test_classes_that_list_other_photographs_are_refused(root):
    change(root, "dog_test.txt", "000002", "000003")
    assert "dog_test.txt does not list the photographs of aeroplane_test.txt" in refusal(root, "DATA-LAYOUT")


def test_a_photograph_in_both_sets_is_refused(root):
    for name in voc.CLASSES:
        change(root, f"{name}_test.txt", "000002", "000007")
    assert "000007 is in trainval and in test" in refusal(root, "DATA-LAYOUT")


def test_missing_photographs_are_counted_and_the_first_is_named(root):
    for number in ("000007", "000002"):
        (root / "VOCdevkit" / "VOC2007" / "JPEGImages" / f"{number}.jpg").unlink()
    said = refusal(root, "DATA-MISSING")
    assert "2 of 5 photographs are missing, the first is" in said
    assert "000007.jpg" in said


def test_an_empty_list_is_refused(root):
    (root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "aeroplane_test.txt").write_text("\n")
    assert "line 1" in refusal(root, "DATA-LINE")
    (root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "aeroplane_test.txt").write_text("")
    assert "lists no photographs" in refusal(root, "DATA-EMPTY")
