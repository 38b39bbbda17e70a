"""The learning rate is a pure function of the step."""

import math
from itertools import pairwise

import pytest

from verydeep.settings.config import Config
from verydeep.training.progress import Progress
from verydeep.training.schedule import rate


def test_steps_divide_the_rate_at_each_milestone():
    config = Config(lr=1.0, schedule="steps", milestones=(2, 4))
    assert [rate(config, step=0, steps=60, epoch=epoch, drops=0) for epoch in range(6)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_plateau_divides_the_rate_with_each_drop():
    config = Config(lr=0.01, schedule="plateau")
    assert [rate(config, step=9, steps=10, epoch=0, drops=d) for d in range(4)] == pytest.approx(
        [1e-2, 1e-3, 1e-4, 1e-5]
    )


def test_cosine_rises_to_the_rate_and_falls_to_zero():
    config = Config(lr=2.0, schedule="cosine", warmup=0.1)
    rates = [rate(config, step=step, steps=101, epoch=0, drops=0) for step in range(102)]
    assert max(rates) == pytest.approx(2.0, rel=1e-3)
    assert rates[101] == pytest.approx(0.0, abs=1e-12)
    assert rates[5] < rates[9]
    rise = 10.1
    assert rates[60] == pytest.approx(1 + math.cos(math.pi * (60 - rise) / (101 - rise)))


def test_one_cycle_is_a_line_up_and_a_line_down():
    config = Config(lr=1.0, schedule="one-cycle", warmup=0.2)
    rates = [rate(config, step=step, steps=100, epoch=0, drops=0) for step in range(100)]
    assert rates.index(max(rates)) == 20
    falls = [a - b for a, b in pairwise(rates[20:])]
    assert falls == pytest.approx([1 / 80] * 79)


def test_one_cycle_may_begin_and_end_above_zero():
    config = Config(lr=2.0, schedule="one-cycle", warmup=0.2, rise_from=0.2, fall_to=0.07)
    rates = [rate(config, step=step, steps=100, epoch=0, drops=0) for step in range(101)]
    assert rates[0] == pytest.approx(2 * (0.2 + 0.8 / 21))
    assert rates[20] == 2.0
    assert rates[100] == pytest.approx(2 * 0.07)
    assert [a - b for a, b in pairwise(rates[20:])] == pytest.approx([2 * 0.93 / 80] * 80)


def test_from_zero_to_zero_gives_the_bits_of_the_formula_alone():
    config = Config(lr=0.3, schedule="one-cycle", warmup=0.23)
    rise = 0.23 * 97
    for step in range(97):
        plain = 0.3 * (step + 1) / (rise + 1) if step < rise else 0.3 * (97 - step) / (97 - rise)
        assert rate(config, step=step, steps=97, epoch=0, drops=0) == plain


def test_a_plateau_is_so_many_epochs_without_a_better_accuracy_and_ends_after_the_last_drop():
    progress = Progress()
    seen = []
    for accuracy in (0.5, 0.6, 0.6, 0.55, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7):
        progress.judge(accuracy, plateau=2, drops=2)
        seen.append(progress.drops)
    assert seen == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert progress.best == 0.7
