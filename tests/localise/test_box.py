"""Boxes and their overlap, against pixels that are counted one by one."""

import numpy as np
import pytest

from verydeep.data.split import MemorySplit
from verydeep.localise.annotated import Annotated
from verydeep.localise.box import area, iou, to_centred, to_corners
from verydeep.localise.constant import best_constant_box, placed_constant
from verydeep.localise.error import Guess, ground_truth_error, guessed_error, is_right

SIDE = 12


def whole_boxes(count, *, seed):
    """Boxes with whole corners inside a square of SIDE."""
    stream = np.random.default_rng(seed)
    first = stream.integers(0, SIDE - 1, (count, 2))
    last = first + 1 + (stream.random((count, 2)) * (SIDE - first)).astype(int)
    return np.concatenate((first, last), axis=1).astype(float)


def inside(box):
    """The pixels (x, y) of a box."""
    left, top, right, bottom = (int(x) for x in box)
    return {(x, y) for x in range(left, right) for y in range(top, bottom)}


def annotated(boxes, *, size=(SIDE, SIDE), labels=None):
    labels = np.zeros(len(boxes), np.int64) if labels is None else np.array(labels)
    images = np.zeros((len(boxes), 1, *size), np.uint8)
    split = MemorySplit("small", ("a", "b", "c", "d", "e", "f", "g"), labels, images)
    return Annotated(split, np.tile(size, (len(boxes), 1)).astype(np.int64), tuple(np.atleast_2d(one) for one in boxes))


def test_the_overlap_of_boxes_is_that_of_their_pixels():
    for first, second in zip(whole_boxes(300, seed=0), whole_boxes(300, seed=1), strict=True):
        common, union = inside(first) & inside(second), inside(first) | inside(second)
        assert area(first) == len(inside(first))
        assert iou(first, second) == pytest.approx(len(common) / len(union), abs=1e-15)


def test_boxes_that_are_empty_or_inside_out_overlap_nothing():
    whole = np.array([0.0, 0.0, 4.0, 4.0])
    for odd in ([2, 2, 2, 4], [3, 3, 1, 1], [9, 9, 9, 9]):
        assert iou(np.array(odd, float), whole) == 0
    assert iou(np.zeros(4), np.zeros(4)) == 0


def test_centre_and_size_are_the_same_box_as_its_corners():
    boxes = whole_boxes(50, seed=2)
    assert to_centred(np.array([2.0, 3.0, 8.0, 5.0])).tolist() == [5.0, 4.0, 6.0, 2.0]
    assert np.array_equal(to_corners(to_centred(boxes)), boxes)


def test_a_network_s_negative_width_is_an_empty_box():
    assert to_corners(np.array([0.5, 0.5, -0.2, 0.4])).tolist() == [0.5, 0.3, 0.5, 0.7]


def test_half_an_overlap_is_wrong_and_a_little_more_is_right():
    truth = np.array([[0.0, 0.0, 4.0, 4.0]])
    assert iou(np.array([0.0, 0.0, 4.0, 2.0]), truth[0]) == 0.5
    assert not is_right(np.array([0.0, 0.0, 4.0, 2.0]), truth)
    assert is_right(np.array([0.0, 0.0, 4.0, 2.01]), truth)


def test_a_box_is_right_when_it_meets_any_of_the_objects():
    data = annotated([[[0, 0, 2, 2], [6, 6, 12, 12]], [[0, 0, 2, 2]]])
    boxes = np.array([[6.0, 6.0, 12.0, 11.0], [6.0, 6.0, 12.0, 11.0]])
    assert ground_truth_error(boxes, data) == 0.5


def test_a_guess_needs_the_class_and_the_box_within_five():
    data = annotated([[[0, 0, 4, 4]]] * 4, labels=[0, 0, 0, 0])
    good, bad = np.array([0.0, 0.0, 4.0, 4.0]), np.array([4.0, 4.0, 8.0, 8.0])

    def guesses(*pairs):
        return [Guess(label, box, 1.0, 1.0) for label, box in pairs]

    images = [
        guesses((1, bad), (2, bad), (3, bad), (4, bad), (0, good)),  # the fifth has both
        guesses((1, good), (0, bad)),  # each has one of them
        guesses((1, bad), (2, bad), (3, bad), (4, bad), (5, bad), (0, good)),  # the sixth comes too late
        guesses((0, good)),
    ]
    assert guessed_error(images, data) == 0.5


def test_the_best_constant_box_is_right_for_more_images_than_any_box_on_the_grid():
    boxes = whole_boxes(40, seed=3)
    data = annotated(boxes)
    found = best_constant_box(data)
    error = ground_truth_error(placed_constant(found, data), data)
    grid = np.array(
        [(x, y, u, v) for x in range(16) for u in range(x + 1, 17) for y in range(16) for v in range(y + 1, 17)]
    )
    hits = np.zeros(len(grid))
    for box in boxes:
        hits += iou(grid * (SIDE / 16), box) > 0.5
    assert error <= 1 - hits.max() / len(boxes)
    assert hits.max() > 1


def test_the_constant_box_is_measured_in_parts_of_each_image():
    data = annotated([[[2, 3, 8, 6]]], size=(12, 24))
    assert placed_constant(np.array([0.25, 0.5, 0.75, 1.0]), data).tolist() == [[6.0, 6.0, 18.0, 12.0]]
    best = best_constant_box(data)
    assert ground_truth_error(placed_constant(best, data), data) == 0
