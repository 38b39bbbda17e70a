"""The curves and the confusion matrix of a run."""

import hashlib
import math
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from verydeep.evaluation.metrics import measure
from verydeep.record.figures import confusion, curves


def letters(svg):
    """The texts of a figure; proves on the way that it is well-formed XML."""
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def random_evaluation(classes, *, names=None, count=500):
    stream = np.random.default_rng(0)
    labels = stream.integers(0, classes, count)
    logits = stream.normal(size=(count, classes))
    logits[np.arange(count), labels] += 3
    return measure(logits, labels, classes=names or tuple(f"class {i}" for i in range(classes)))


def test_equal_runs_give_equal_bytes_in_every_process(history):
    code = (
        "import hashlib; from verydeep.record.figures import curves; "
        f"print(hashlib.sha256(curves({history(3)!r}).encode()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert hashlib.sha256(curves(history(3)).encode()).hexdigest() == other
    assert curves(history(3)) == curves(history(3))
    assert confusion(random_evaluation(5)) == confusion(random_evaluation(5))


def test_other_numbers_give_another_figure(history):
    assert curves(history(3)) != curves(history(4))


def test_the_users_own_matplotlib_settings_change_nothing(history):
    usual = curves(history(3))
    with mpl.rc_context({"lines.linewidth": 9, "xtick.direction": "in", "svg.fonttype": "path"}):
        assert curves(history(3)) == usual
        assert mpl.rcParams["lines.linewidth"] == 9


def test_axes_are_named_with_units(history):
    found = letters(curves(history(3)))
    assert {"Loss", "cross-entropy in nats", "Accuracy", "top-1", "Learning rate", "epoch"} <= set(found)
    assert {"training", "validation"} <= set(found)


def test_without_validation_there_is_no_validation_curve(history):
    assert "validation" not in letters(curves(history(3, validated=False)))


def test_one_epoch_is_drawn_as_points(history):
    assert "validation" in letters(curves(history(1)))


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_an_epoch_without_a_finite_loss_is_a_gap(history, value):
    rows = [dict(row) for row in history(4)]
    rows[2]["train_loss"] = value
    svg = curves(rows)
    assert "training" in letters(svg)
    assert "nan" not in svg
    assert "inf" not in svg


def test_no_epoch_at_all_is_still_a_figure():
    assert "epoch" in letters(curves([]))


def test_the_confusion_matrix_has_the_counts_and_both_axes_named(evaluation):
    found = letters(confusion(evaluation))
    assert {"predicted class", "true class"} <= set(found)
    expected = sorted(str(count) for row in evaluation.confusion for count in row if count)
    names = [entry.name for entry in evaluation.per_class]
    rest = [text for text in found if text.isdecimal()]
    for name in names + names:  # the ticks of both axes
        rest.remove(name)
    assert sorted(rest) == expected


@pytest.mark.parametrize(("classes", "counted"), [(20, True), (21, False)])
def test_counts_are_written_for_up_to_twenty_classes(classes, counted):
    found = letters(confusion(random_evaluation(classes)))
    assert any(text.isdecimal() for text in found) is counted


def test_a_thousand_classes_stay_a_small_file():
    svg = confusion(random_evaluation(1000))
    assert len(svg) < 1_000_000
    assert "class 7" not in letters(svg)


def test_class_names_are_text_and_nothing_else():
    names = ("<script>alert(1)</script>", "$x_1$", "猫 🐈", "a&b", "line\nbreak\x01", "x" * 200)
    found = letters(confusion(random_evaluation(6, names=names)))
    assert {"<script>alert(1)<…", "$x_1$", "猫 🐈", "a&b", "line?break?"} <= set(found)
    assert max(map(len, found)) < 40
