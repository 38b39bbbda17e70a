"""The rule by which a finding is held, against SciPy's paired t-test and by hand."""

import numpy as np
import pytest
from scipy import stats

from verydeep.errors import ConfigError
from verydeep.reproduce.decide import Difference, does_not_gain, gains, guesses, over_images, over_seeds

WORSE = [30.1, 29.4, 30.8, 29.9]
BETTER = [28.7, 28.8, 28.9, 29.0]


def test_the_interval_over_seeds_is_scipys_paired_one():
    found = over_seeds([a - b for a, b in zip(WORSE, BETTER, strict=True)])
    expected = stats.ttest_rel(WORSE, BETTER).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert found.mean == pytest.approx(1.2)


def test_the_verdict_is_scipys_at_five_percent():
    generator = np.random.default_rng(5)
    seen = set()
    for _ in range(200):
        differences = generator.normal(generator.choice([-2.0, 0.0, 2.0]), 1.0, size=4)
        test = stats.ttest_1samp(differences, 0.0)
        expected = "undecided" if test.pvalue > 0.05 else "held" if test.statistic > 0 else "not held"
        assert gains(over_seeds(list(differences))) == expected
        seen.add(expected)
    assert seen == {"held", "not held", "undecided"}


def test_the_other_direction_turns_held_into_not_held():
    assert gains(over_seeds([a - b for a, b in zip(WORSE, BETTER, strict=True)])) == "held"
    assert gains(over_seeds([a - b for a, b in zip(BETTER, WORSE, strict=True)])) == "not held"


def test_equal_differences_have_an_interval_of_no_length():
    assert over_seeds([1.5, 1.5]) == Difference(1.5, 1.5, 1.5)
    assert gains(over_seeds([0.0, 0.0, 0.0])) == "undecided"


def test_a_single_seed_decides_nothing():
    with pytest.raises(ConfigError) as refused:
        over_seeds([1.0])
    assert refused.value.code == "REPRODUCE-SEEDS"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-1.0, 0.5, "held"), (-0.5, 1.0, "undecided"), (-2.0, -1.0, "held"), (0.1, 0.5, "not held"), (-1, 3, "undecided")],
)
def test_no_gain_is_held_where_any_gain_is_below_the_margin(low: float, high: float, verdict: str):
    assert does_not_gain(Difference((low + high) / 2, low, high), margin=1.0) == verdict


def test_the_interval_over_images_is_the_normal_one():
    differences = np.array([100.0] * 30 + [-100.0] * 10 + [0.0] * 60)
    error = differences.std(ddof=1) / 10
    found = over_images(differences)
    assert found.mean == 20.0
    assert (found.low, found.high) == pytest.approx((20 - 1.959964 * error, 20 + 1.959964 * error))


def test_a_network_that_guesses_is_found():
    assert guesses(0.890, images=1_000, classes=10)
    assert not guesses(0.880, images=1_000, classes=10)
