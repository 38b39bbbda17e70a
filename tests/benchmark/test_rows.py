"""Ratios and errors from known times and known numbers."""

from pathlib import Path

import numpy as np
import pytest

from verydeep.benchmark.bench import with_ratios
from verydeep.benchmark.contest import Timed
from verydeep.benchmark.rows import Row, error_of, filled, quickest_first

POINT = ("float32", 4, 8, 9)


@pytest.fixture
def save(tmp_path: Path):
    def to(name: str, values) -> Path:
        np.save(tmp_path / name, np.asarray(values))
        return tmp_path / name

    return to


def test_times_are_medians_and_minima_and_an_image_has_its_share(save):
    logits = save("y.npy", [[1.0, -4.0]])
    timed = Timed("torch float32", (0.5, 0.1, 0.2), output=logits, peak_bytes=3_000_000, build_bytes=5_000_000)
    row = filled(Row("torch", *POINT), timed, reference=logits)
    assert (row.median_ms, row.min_ms, row.image_ms) == (200.0, 100.0, 50.0)
    assert (row.error, row.peak_mb, row.build_mb, row.failed) == (0.0, 3.0, 5.0, "")


def test_the_error_is_in_units_of_the_largest_logit_of_the_reference(save):
    assert error_of(np.float32([[1, 2, -8.5]]), np.array([[1.0, 2.0, -8.0]])) == 0.5 / 8
    timed = Timed("ncnn float32", (0.1,), output=save("y.npy", [[1.0, 3.0]]))
    assert filled(Row("ncnn", *POINT), timed, reference=save("y64.npy", [[1.0, 4.0]])).error == 0.25


@pytest.mark.parametrize(
    ("found", "said"), [([[1.0, np.nan]], "not a finite number"), ([[1.0, np.inf]], "finite"), ([1.0], "it gives (1,)")]
)
def test_logits_that_are_none_are_a_failure_whatever_their_time(save, found, said):
    timed = Timed("ncnn float32", (0.1,), output=save("y.npy", found))
    row = filled(Row("ncnn", *POINT), timed, reference=save("y64.npy", [[1.0, 2.0]]))
    assert said in row.failed
    assert row.median_ms is None


def test_a_ratio_says_how_many_times_as_fast_as_pytorch():
    rows = [
        Row("verydeep", *POINT, median_ms=20.0),
        Row("torch", *POINT, median_ms=62.0),
        Row("ncnn", *POINT, failed="it died by SIGSEGV"),
    ]
    assert [row.ratio for row in with_ratios(rows, standard="torch float32")] == [3.1, 1.0, None]
    assert [row.ratio for row in with_ratios(rows, standard="ncnn float32")] == [None, None, None]


def test_the_quickest_stands_first_and_who_has_no_time_last():
    rows = [Row(name, *POINT, median_ms=time) for name, time in (("a", None), ("b", 3.0), ("c", 1.0))]
    assert [row.engine for row in quickest_first(rows)] == ["c", "b", "a"]
