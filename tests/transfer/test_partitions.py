"""Partitions by chance: as many of each class as asked for, never an image in both parts, the same for one seed."""

import numpy as np
import pytest

from verydeep.errors import ConfigError, DataError
from verydeep.transfer.labelled import Labelled, Partition
from verydeep.transfer.partitions import Shares, random_partitions, shares_of

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [40, 100, 33]))
NAMES = ("a", "b", "c")


def drawn(shares, seed=0):
    return random_partitions(LABELS, shares, classes=NAMES, seed=seed)


def test_each_has_the_papers_numbers_of_every_class():
    parts = drawn(Shares(partitions=3, train=30, test=50))
    assert len(parts) == 3
    for part in parts:
        assert np.bincount(LABELS[part.train]).tolist() == [30, 30, 30]
        assert np.bincount(LABELS[part.test]).tolist() == [10, 50, 3]
        assert not set(part.train) & set(part.test)


def test_without_a_limit_all_the_rest_is_for_the_test():
    (part,) = drawn(Shares(partitions=1, train=30, test=None))
    assert sorted([*part.train, *part.test]) == list(range(len(LABELS)))


def test_the_seed_decides_and_partitions_differ():
    first, again, other = drawn(Shares()), drawn(Shares()), drawn(Shares(), seed=1)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.train, two.train)
    trains = [tuple(part.train) for part in (*first, *other)]
    assert len(set(trains)) == 6


def test_more_partitions_leave_the_first_ones_as_they_are():
    few, many = drawn(Shares(partitions=2)), drawn(Shares(partitions=5))
    np.testing.assert_array_equal(few[1].test, many[1].test)


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(DataError, match="class 'c' has 33 images, and 33 of each class are for training") as refused:
        drawn(Shares(train=33))
    assert refused.value.code == "DATA-TOO-FEW"


@pytest.mark.parametrize("values", [{"partitions": 0}, {"train": 0}, {"test": 0}])
def test_shares_below_1_are_refused(values):
    with pytest.raises(ConfigError, match="is 0"):
        Shares(**values)


def test_what_is_asked_for_replaces_the_usual():
    assert shares_of(Shares(3, 60, None), partitions=None, train=None, test=None) is None
    assert shares_of(Shares(3, 60, None), partitions=5, train=None, test=None) == Shares(5, 60, None)
    assert shares_of(None, partitions=None, train=5, test=None) == Shares(3, 5, 50)


def test_images_of_several_classes_are_held_out_by_the_rarest():
    truth = np.array([[1, 1], [1, -1], [1, 0], [-1, -1]], np.int8)
    part = Partition(np.arange(4), np.arange(0))
    found = Labelled("x", ("common", "rare"), (), truth, (part,), "average-precision").strata(np.arange(4))
    assert found.tolist() == [1, 0, 0, 2]
