"""Linear machines: what scikit-learn gives, difficult images left out, and C chosen without a look at the test."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from verydeep.data.split import held_out
from verydeep.errors import ConfigError, DataError
from verydeep.transfer import linear_svm
from verydeep.transfer.judge import judge, mean_recall, recalls
from verydeep.transfer.labelled import Labelled, Partition, one_each


def clouds(count=60, classes=3, features=5, spread=0.6, seed=0):
    """Descriptors of length 1 around a direction of their class, and the labels."""
    stream = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    directions = stream.standard_normal((classes, features))
    points = directions[labels] + spread * stream.standard_normal((count, features))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


def labelled(labels, *, train, test, classes=3):
    truth = one_each(labels, classes=classes)
    part = Partition(np.array(train), np.array(test))
    return Labelled("clouds", tuple("abcdefgh"[:classes]), (), truth, (part,), "mean-class-recall")


def test_the_machines_are_scikit_learns():
    x, labels = clouds()
    theirs = LinearSVC(C=1.0, dual=False, max_iter=10_000).fit(x, labels)
    ours = linear_svm.fit(x, one_each(labels, classes=3), cost=1.0)
    np.testing.assert_allclose(ours.scores(x), theirs.decision_function(x), atol=1e-3)


def test_difficult_images_do_not_teach_a_class():
    x, labels = clouds()
    truth = one_each(labels, classes=3)
    truth[:20, 1] = 0
    found = linear_svm.fit(x, truth, cost=1.0)
    alone = linear_svm.fit(x[20:], truth[20:], cost=1.0)
    all_of_them = linear_svm.fit(x, one_each(labels, classes=3), cost=1.0)
    np.testing.assert_allclose(found.weights[1], alone.weights[1])
    np.testing.assert_allclose(found.weights[0], all_of_them.weights[0])
    assert np.abs(found.weights[1] - all_of_them.weights[1]).max() > 1e-3


def test_a_fifth_of_each_class_is_held_out_and_the_seed_decides_which():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    held = held_out(labels, fraction=linear_svm.FRACTION, seed=0, of="x")
    assert np.bincount(labels[held]).tolist() == [10, 6, 4]
    assert (held == held_out(labels, fraction=linear_svm.FRACTION, seed=0, of="x")).all()
    assert (held != held_out(labels, fraction=linear_svm.FRACTION, seed=1, of="x")).any()


def test_c_is_the_best_on_the_held_out_images_and_then_all_train():
    x, labels = clouds(spread=1.2)
    truth = one_each(labels, classes=3)
    found = linear_svm.train(x, truth, strata=labels, goodness=mean_recall, seed=3)
    held = held_out(labels, fraction=0.2, seed=3, of="x")
    each = [
        mean_recall(linear_svm.fit(x[~held], truth[~held], cost=cost).scores(x[held]), truth[held])
        for cost in linear_svm.GRID
    ]
    assert list(found.held_out) == each
    assert found.cost == linear_svm.GRID[int(np.argmax(each))]
    np.testing.assert_array_equal(found.machines.weights, linear_svm.fit(x, truth, cost=found.cost).weights)


def test_of_equally_good_c_the_smallest_is_taken():
    x, labels = clouds(spread=0.01)
    found = linear_svm.train(
        x, one_each(labels, classes=3), strata=labels, goodness=mean_recall, seed=0, grid=(10.0, 1.0)
    )
    assert (found.held_out, found.cost) == ((1.0, 1.0), 1.0)


def test_the_test_images_have_no_say_in_c_or_in_the_machines(monkeypatch):
    """Other test images with any labels leave C and the scores of each image as they are."""
    x, labels = clouds(count=90, spread=1.2)
    seen, real = [], linear_svm.train

    def spy(descriptors, truth, **options):
        seen.append((descriptors.copy(), truth.copy(), real(descriptors, truth, **options)))
        return seen[-1][2]

    monkeypatch.setattr(linear_svm, "train", spy)
    train, test = range(60), range(60, 90)
    row = judge("x", x, labelled(labels, train=train, test=test), seed=0, grid=linear_svm.GRID)
    wrong, moved = labels.copy(), x.copy()
    wrong[60:], moved[60:] = (labels[60:] + 1) % 3, -x[60:]
    other = judge("x", moved, labelled(wrong, train=train, test=test), seed=0, grid=linear_svm.GRID)
    (first, second) = seen
    np.testing.assert_array_equal(first[0], x[:60])
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[2].machines.weights, second[2].machines.weights)
    assert row.costs == other.costs == (first[2].cost,)


def test_labels_without_meaning_are_not_learned():
    """A classifier that saw the test images' labels would be far better than chance."""
    stream = np.random.default_rng(0)
    x, labels = stream.standard_normal((400, 150)), np.arange(400) % 4
    row = judge(
        "noise", x, labelled(labels, train=range(200), test=range(200, 400), classes=4), seed=0, grid=(0.01, 1.0)
    )
    assert row.mean("mean-class-recall") < 0.36


def test_recall_counts_every_class_alike():
    truth = one_each(np.array([0, 0, 0, 0, 1]), classes=3)
    scores = np.array([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert recalls(scores, truth) == [0.75, 0.0, None]
    assert mean_recall(scores, truth) == 0.375


def test_a_class_without_images_to_learn_from_is_refused():
    x, labels = clouds(count=12)
    truth = one_each(labels, classes=3)
    truth[:, 2] = -1
    with pytest.raises(DataError, match="class number 2 has no training image") as refused:
        linear_svm.fit(x, truth, cost=1.0)
    assert refused.value.code == "DATA-TOO-FEW"


@pytest.mark.parametrize("grid", [(), (0.0,), (1.0, -1.0), (float("inf"),), (float("nan"),)])
def test_a_c_that_is_not_above_0_is_refused(grid):
    x, labels = clouds()
    with pytest.raises(ConfigError, match="C is one of"):
        judge("x", x, labelled(labels, train=range(40), test=range(40, 60)), seed=0, grid=grid)
