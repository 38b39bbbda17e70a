"""The rule by which a finding is held, against SciPy's paired t-test and by hand."""

import numpy as np
import pytest
from scipy import stats

from verydeep.errors import ConfigError
from verydeep.reproduce.claims import CLAIMS, MARGIN
from verydeep.reproduce.decide import Difference, does_not_gain, gains, guesses, over_images, over_seeds

WORSE = [30.1, 29.4, 30.8, 29.9]
BETTER = [28.7, 28.8, 28.9, 29.0]
SURE, OPPOSITE = Difference(1.0, 0.5, 1.5), Difference(-1.0, -1.5, -0.5)


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
        assert gains(over_seeds(list(differences)), SURE if test.statistic > 0 else OPPOSITE) == expected
        seen.add(expected)
    assert seen == {"held", "not held", "undecided"}


def test_the_other_direction_turns_held_into_not_held():
    assert gains(over_seeds([a - b for a, b in zip(WORSE, BETTER, strict=True)]), SURE) == "held"
    assert gains(over_seeds([a - b for a, b in zip(BETTER, WORSE, strict=True)]), OPPOSITE) == "not held"


@pytest.mark.parametrize(
    ("seeds", "images", "verdict"),
    [
        ((0.2, 1.0), (0.1, 0.9), "held"),
        ((0.2, 1.0), (-0.1, 0.9), "undecided"),
        ((-0.2, 1.0), (0.1, 0.9), "undecided"),
        ((-1.0, -0.2), (-0.9, -0.1), "not held"),
        ((-1.0, -0.2), (-0.9, 0.1), "undecided"),
        ((-1.0, -0.2), (0.1, 0.9), "undecided"),
    ],
)
def test_both_intervals_have_to_say_so(seeds: tuple[float, float], images: tuple[float, float], verdict: str):
    assert gains(_interval(*seeds), _interval(*images)) == verdict


def test_equal_differences_decide_nothing():
    equal = over_seeds([1.5, 1.5, 1.5])
    assert equal == Difference(1.5, 1.5, 1.5)
    rounded = over_seeds([0.1 + 0.2, 0.3, 0.3])
    for found in (equal, rounded, over_seeds([-1.5, -1.5, -1.5])):
        assert gains(found, SURE) == gains(SURE, found) == "undecided"
        assert does_not_gain(found, OPPOSITE, margin=0.5) == does_not_gain(found, SURE, margin=0.5) == "undecided"


@pytest.mark.parametrize("count", [1, 2])
def test_two_seeds_decide_nothing(count: int):
    with pytest.raises(ConfigError, match="3 are the least") as refused:
        over_seeds([1.0, 1.1][:count])
    assert refused.value.code == "REPRODUCE-SEEDS"


@pytest.mark.parametrize(
    ("seeds", "images", "verdict"),
    [
        ((-1.0, 0.4), (-0.6, 0.2), "held"),
        ((-1.0, 0.4), (-0.6, 0.6), "undecided"),
        ((-1.0, 0.6), (-0.6, 0.4), "undecided"),
        ((-2.0, -1.0), (-1.7, -1.2), "held"),
        ((0.1, 0.4), (0.2, 0.3), "not held"),
        ((0.1, 0.4), (-0.1, 0.4), "held"),
        ((0.1, 0.9), (-0.1, 0.9), "undecided"),
    ],
)
def test_no_gain_is_held_where_any_gain_is_below_the_margin(
    seeds: tuple[float, float], images: tuple[float, float], verdict: str
):
    assert does_not_gain(_interval(*seeds), _interval(*images), margin=0.5) == verdict


def test_the_margin_is_half_of_the_papers_smallest_step_from_net_a():
    steps = [claim.paper for claim in CLAIMS if claim.name.startswith("depth A-") and claim.paper is not None]
    assert pytest.approx(min(steps) / 2, abs=0.051) == MARGIN


def _interval(low: float, high: float) -> Difference:
    return Difference((low + high) / 2, low, high)


def test_the_interval_over_images_is_the_normal_one():
    differences = np.array([100.0] * 30 + [-100.0] * 10 + [0.0] * 60)
    error = differences.std(ddof=1) / 10
    found = over_images(differences)
    assert found.mean == 20.0
    assert (found.low, found.high) == pytest.approx((20 - 1.959964 * error, 20 + 1.959964 * error))


def test_a_network_that_guesses_is_found():
    assert guesses(0.890, images=1_000, classes=10)
    assert not guesses(0.880, images=1_000, classes=10)
