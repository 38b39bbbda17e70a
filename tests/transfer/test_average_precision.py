"""Average precision by hand, against the definition in loops, and against scikit-learn where the two agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from verydeep.transfer.average_precision import average_precision, mean_average_precision


def both(scores, truth):
    arrays = np.array(scores, float), np.array(truth)
    return average_precision(*arrays, rule="voc2007-11-point"), average_precision(*arrays, rule="area")


def devkit(scores, truth, *, rule):
    """The development kit's code (VOCevalcls.m of 2007, VOCap.m of 2010) with its loops."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits = misses = 0
    curve = []
    for i in order:
        hits, misses = hits + (truth[i] > 0), misses + (truth[i] < 0)
        if truth[i]:
            curve.append((hits / sum(t > 0 for t in truth), hits / (hits + misses)))
    if rule == "voc2007-11-point":
        return sum(max((p for r, p in curve if r >= t / 10), default=0) for t in range(11)) / 11
    recall = [0, *(r for r, _ in curve), 1]
    precision = [0, *(p for _, p in curve), 0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def test_a_perfect_ranking_has_1():
    assert both([4, 3, 2, 1], [1, 1, -1, -1]) == (1.0, 1.0)


def test_two_of_four_by_hand():
    # ranks: hit, miss, hit, miss; recalls 1/2, 1/2, 1, 1; precisions 1, 1/2, 2/3, 1/2
    eleven, area = both([4, 3, 2, 1], [1, -1, 1, -1])
    assert eleven == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)  # recalls 0 to 0.5, then 0.6 to 1
    assert area == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_the_best_precision_at_this_or_a_higher_recall_counts():
    # hit 1/2 at rank 2, hit 2/3 at rank 3: the first hit counts as 2/3 too, and scikit-learn's does not
    scores, truth = [3, 2, 1], [-1, 1, 1]
    assert both(scores, truth) == pytest.approx((2 / 3, 2 / 3))
    assert average_precision_score([0, 1, 1], scores) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_difficult_images_are_as_if_they_were_not_there():
    scores, truth = np.array([9, 5, 8, 4, 7, 3, 6]), np.array([0, 1, -1, 1, 0, -1, 0])
    judged = truth != 0
    assert both(scores, truth) == both(scores[judged], truth[judged])
    assert both(scores, truth) != both(scores, np.where(judged, truth, -1))
    assert both(scores, truth) != both(scores, np.where(judged, truth, 1))


def test_equal_scores_rank_in_the_order_of_the_images():
    assert both([1, 1], [1, -1]) == (1.0, 1.0)
    assert both([1, 1], [-1, 1]) == (0.5, 0.5)


def test_a_class_that_no_image_shows_has_none_and_does_not_count():
    assert both([1, 2], [-1, 0]) == (None, None)
    assert both([], []) == (None, None)
    scores, truth = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1, -1], [-1, -1]])
    assert mean_average_precision(scores, truth, rule="area") == 1.0


def test_a_recall_that_recall_steps_meet_exactly_counts_as_reached():
    scores, truth = np.arange(20, 0, -1), np.array([1, -1] * 10)
    assert both(scores, truth)[0] == pytest.approx(devkit(list(scores), list(truth), rule="voc2007-11-point"))


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([-1, 0, 1])), min_size=1, max_size=30))
def test_any_ranking_has_what_the_development_kit_gives(images):
    scores, truth = [float(score) for score, _ in images], [label for _, label in images]
    if 1 not in truth:
        return
    for found, rule in zip(both(scores, truth), ("voc2007-11-point", "area"), strict=True):
        assert found == pytest.approx(devkit(scores, truth, rule=rule))


def test_it_is_scikit_learns_where_precision_only_falls():
    stream = np.random.default_rng(0)
    agreed = 0
    for _ in range(300):
        scores, truth = stream.random(8), stream.choice([-1, 1], 8, p=[0.3, 0.7])
        ranked = truth[np.argsort(-scores)] > 0
        at_hits = (np.cumsum(ranked) / np.arange(1, 9))[ranked]
        if ranked.any() and np.all(np.diff(at_hits) <= 0):
            agreed += 1
            assert both(scores, truth)[1] == pytest.approx(average_precision_score(truth > 0, scores))
    assert agreed > 20
