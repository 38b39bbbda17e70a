"""The greedy merge against loops that do it box by box."""

import math

import numpy as np
import pytest

from verydeep.localise.merge import CLOSE, match_score, merge


def plain_score(a, b):
    """The match score of two boxes, in words of arithmetic."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    distance = math.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2)
    return distance / math.sqrt(sum(areas) / 2) + 1 - width * height / (sum(areas) - width * height)


def plain_merge(boxes, ratings, close):
    """Sets of the boxes' numbers: the closest two become one until none are close."""
    groups = [[i] for i in range(len(boxes))]

    def mean(group):
        return [sum(boxes[i][k] for i in group) / len(group) for k in range(4)]

    while len(groups) > 1:
        pairs = [
            (plain_score(mean(a), mean(b)), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups) if i < j
        ]
        score, i, j = min(pairs)
        if score > close:
            break
        groups[i] += groups.pop(j)
    return {tuple(sorted(group)): (mean(group), sum(ratings[i] for i in group)) for group in groups}


def some(seed, count):
    stream = np.random.default_rng(seed)
    corner = stream.uniform(0, 60, (count, 2))
    return np.concatenate((corner, corner + stream.uniform(15, 50, (count, 2))), axis=1), stream.random(count)


@pytest.mark.parametrize("seed", range(12))
def test_boxes_are_merged_as_loops_merge_them(seed):
    boxes, ratings = some(seed, 9)
    for close in (0.3, CLOSE, 0.9):
        found = merge(boxes, ratings, close=close)
        expected = plain_merge(boxes.tolist(), ratings.tolist(), close)
        assert sorted(found.counts) == sorted(map(len, expected))
        rows = sorted((rating, *box) for box, rating in expected.values())
        assert np.allclose(sorted((rating, *box) for box, rating in zip(found.boxes, found.ratings, strict=True)), rows)


def test_the_match_score_is_nought_for_equal_boxes_and_above_one_for_boxes_apart():
    box = np.array([10.0, 10.0, 30.0, 40.0])
    assert match_score(box, box) == 0
    assert match_score(box, box + 100) > 1
    for first, second in zip(some(1, 40)[0], some(2, 40)[0], strict=True):
        assert match_score(first, second) == pytest.approx(plain_score(first, second))
        assert match_score(first * 7, second * 7) == pytest.approx(plain_score(first, second))


def test_close_boxes_become_their_mean_and_their_ratings_add_up():
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10], [1, 0, 11, 10], [60, 60, 90, 90]])
    found = merge(boxes, np.array([0.2, 0.3, 0.1, 0.55]))
    assert found.counts.tolist() == [3, 1]
    assert np.allclose(found.boxes[0], [1, 0, 11, 10])
    assert found.ratings == pytest.approx([0.6, 0.55])
    assert found.best() == 0


def test_the_order_of_the_boxes_does_not_matter():
    boxes, ratings = some(3, 12)
    turned = np.random.default_rng(0).permutation(12)
    first, second = merge(boxes, ratings), merge(boxes[turned], ratings[turned])
    assert np.allclose(sorted(first.ratings), sorted(second.ratings))
    assert np.allclose(first.boxes[first.best()], second.boxes[second.best()])


def test_empty_boxes_are_merged_with_nothing_but_their_like():
    boxes = np.array([[5.0, 5, 5, 5], [5, 5, 5, 5], [7, 7, 7, 9]])
    assert sorted(merge(boxes, np.ones(3)).counts) == [1, 2]
