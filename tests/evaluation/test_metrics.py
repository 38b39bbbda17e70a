"""Metrics against loops that a student would write, scikit-learn and torchmetrics."""

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verydeep.errors import DataError, NumericalError
from verydeep.evaluation.metrics import (
    BINS,
    Evaluation,
    Member,
    calibration_error,
    from_json,
    interval,
    measure,
    most_confused,
)
from verydeep.evaluation.table import to_markdown, to_text


def names(count):
    return tuple(f"class {i}" for i in range(count))


@st.composite
def cases(draw, ties=True):
    """Scores and labels: 1 to 9 classes, often with equal scores and with classes that no sample has."""
    count, classes = draw(st.integers(1, 40)), draw(st.integers(1, 9))
    stream = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    known = stream.integers(1, classes + 1)
    labels = stream.choice(classes, size=known, replace=False)[stream.integers(0, known, count)]
    if ties and draw(st.booleans()):
        return stream.integers(-2, 3, (count, classes)).astype(np.float32), labels
    return stream.normal(scale=3, size=(count, classes)).astype(np.float32), labels


def brute(logits, labels):
    """top1, top5, loss, ECE and the confusion counts, in plain loops."""
    count, classes = logits.shape
    confusion = [[0] * classes for _ in range(classes)]
    top, losses, bins = {1: 0, 5: 0}, [], [[] for _ in range(BINS)]
    for scores, label in zip(logits.tolist(), labels.tolist(), strict=True):
        ranking = sorted(range(classes), key=lambda j: (-scores[j], j))
        confusion[label][ranking[0]] += 1
        for k in top:
            top[k] += label in ranking[:k]
        total = math.fsum(math.exp(score - max(scores)) for score in scores)
        losses.append(math.log(total) + max(scores) - scores[label])
        confidence = 1 / total
        number = next(b for b in range(BINS) if confidence <= np.linspace(0, 1, BINS + 1)[b + 1] or b == BINS - 1)
        bins[number].append((confidence, ranking[0] == label))
    ece = sum(abs(sum(hit for _, hit in part) - math.fsum(c for c, _ in part)) for part in bins) / count
    return top[1] / count, top[5] / count, math.fsum(losses) / count, ece, confusion


@settings(max_examples=500, deadline=None)
@given(cases())
def test_every_number_equals_a_plain_loop(case):
    logits, labels = case
    found = measure(logits, labels, classes=names(logits.shape[1]))
    top1, top5, loss, ece, confusion = brute(logits, labels)
    assert (found.top1, found.top5, found.count) == (top1, top5, len(labels))
    assert [list(row) for row in found.confusion] == confusion
    assert found.loss == pytest.approx(loss, abs=1e-12, rel=1e-12)
    # A confidence such as 1/3 lies on the edge of a bin, and the last bit decides between two bins.
    on_edge = any(abs(c * BINS - round(c * BINS)) < 1e-9 for c in _confidences(logits))
    assert on_edge or found.ece == pytest.approx(ece, abs=1e-12)


def _confidences(logits):
    exponentials = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return exponentials.max(axis=1) / exponentials.sum(axis=1)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_per_class_numbers_equal_those_of_scikit_learn(case):
    from sklearn import metrics as sk

    logits, labels = case
    classes = logits.shape[1]
    found = measure(logits, labels, classes=names(classes))
    predicted = logits.argmax(axis=1)
    everything = sk.precision_recall_fscore_support(
        labels, predicted, labels=list(range(classes)), zero_division=np.nan
    )
    for entry, precision, recall, f1, support in zip(found.per_class, *everything, strict=True):
        assert entry.support == support
        for ours, theirs in ((entry.precision, precision), (entry.recall, recall), (entry.f1, f1)):
            assert (math.nan if ours is None else ours) == pytest.approx(theirs, nan_ok=True, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are predicted and have no samples
        assert found.macro_recall == pytest.approx(sk.balanced_accuracy_score(labels, predicted), abs=1e-12)


def test_without_ties_the_numbers_are_those_of_torchmetrics():
    import torch
    from torchmetrics.functional import classification as tm

    stream = np.random.default_rng(0)
    for _ in range(50):
        count, classes = int(stream.integers(1, 200)), int(stream.integers(6, 12))
        logits, labels = stream.normal(scale=3, size=(count, classes)), stream.integers(0, classes, count)
        found = measure(logits, labels, classes=names(classes))
        x, y = torch.from_numpy(logits).softmax(1), torch.from_numpy(labels)
        assert found.top1 == pytest.approx(float(tm.multiclass_accuracy(x, y, classes, average="micro")), abs=1e-6)
        top5 = tm.multiclass_accuracy(x, y, classes, average="micro", top_k=5)
        assert found.top5 == pytest.approx(float(top5), abs=1e-6)
        assert found.ece == pytest.approx(float(tm.multiclass_calibration_error(x, y, classes, n_bins=BINS)), abs=1e-6)
        assert np.array_equal(found.confusion, tm.multiclass_confusion_matrix(x, y, classes))


def test_a_confidence_on_the_edge_of_two_bins_belongs_to_the_lower_one():
    edge = np.linspace(0, 1, BINS + 1)[9]
    assert calibration_error(np.array([edge, 0.55]), np.array([True, False])) == pytest.approx(abs(1 - edge - 0.55) / 2)
    assert calibration_error(np.array([1.0, 0.99]), np.array([True, False])) == pytest.approx(0.99 / 2)


def test_a_network_that_cannot_decide_has_chance_accuracy_and_the_loss_of_guessing():
    found = measure(np.zeros((100, 10), np.float32), np.arange(100) % 10, classes=names(10))
    assert (found.top1, found.top5, found.macro_recall) == (0.1, 0.5, 0.1)
    assert found.loss == pytest.approx(math.log(10))


def test_top5_is_one_with_five_classes_or_fewer():
    logits = np.array([[3.0, 2, 1, 0, -1], [3.0, 2, 1, 0, -1]])
    assert measure(logits, np.array([4, 3]), classes=names(5)).top5 == 1.0
    assert measure(np.c_[logits, [9.0, 9.0]], np.array([4, 3]), classes=names(6)).top5 == 0.5


def test_what_cannot_be_divided_is_none_and_not_zero():
    found = measure(np.array([[2.0, 1, 0], [2.0, 1, 0]]), np.array([0, 1]), classes=("a", "b", "c"))
    a, b, c = found.per_class
    assert (a.precision, a.recall) == (0.5, 1.0)
    assert (b.precision, b.recall, b.f1) == (None, 0.0, 0.0)
    assert (c.support, c.precision, c.recall, c.f1) == (0, None, None, None)
    assert found.macro_recall == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_an_error_that_names_the_first_sample(value):
    logits = np.zeros((5, 3), np.float32)
    logits[2, 1] = logits[4, 0] = value
    with pytest.raises(NumericalError, match=r"2 of 5 samples.*sample 2") as raised:
        measure(logits, np.zeros(5, int), classes=names(3))
    assert (raised.value.code, raised.value.exit_code) == ("EVAL-NONFINITE", 5)


@pytest.mark.parametrize(
    ("logits", "labels", "code"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "EVAL-EMPTY"),
        (np.zeros((2, 3)), np.zeros(1, int), "EVAL-SHAPE"),
        (np.zeros((2, 4)), np.zeros(2, int), "EVAL-SHAPE"),
        (np.zeros(3), np.zeros(3, int), "EVAL-SHAPE"),
        (np.zeros((2, 3)), np.array([0, 3]), "EVAL-SHAPE"),
        (np.zeros((2, 3)), np.array([-1, 0]), "EVAL-SHAPE"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "EVAL-SHAPE"),
    ],
)
def test_samples_that_cannot_be_measured_are_refused(logits, labels, code):
    with pytest.raises(DataError) as raised:
        measure(logits, labels, classes=names(3))
    assert raised.value.code == code


def test_huge_scores_do_not_overflow():
    logits = np.array([[3e38, -3e38], [3e38, -3e38]], np.float32)
    found = measure(logits, np.array([0, 0]), classes=names(2))
    assert (found.top1, found.loss, found.ece) == (1.0, 0.0, 0.0)


@settings(max_examples=30, deadline=None)
@given(cases())
def test_an_evaluation_survives_json(case):
    logits, labels = case
    found = measure(logits, labels, classes=names(logits.shape[1]))
    again = from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again == found
    assert isinstance(again, Evaluation)
    assert hash(again) == hash(found)


def test_an_evaluation_of_several_runs_survives_json():
    run = Member("run-001", "dense", (256, 384, 512), flip=True)
    found = replace(measure(np.eye(2), np.array([0, 1]), classes=names(2)), protocol="dense", runs=(run, run))
    assert from_json(json.loads(json.dumps(found.to_json()))) == found
    record = found.to_json()
    del record["runs"][1]["flip"]
    with pytest.raises(DataError, match="missing or unknown keys: flip"):
        from_json(record)


def test_a_record_from_before_there_were_protocols_is_a_centre_crop():
    found = measure(np.eye(2), np.array([0, 1]), classes=names(2))
    new = ("engine", "protocol", "scales", "flip", "runs")
    old = {key: value for key, value in found.to_json().items() if key not in new}
    assert from_json(old) == found
    assert (found.protocol, found.scales, found.flip, found.runs) == ("center", None, False, ())
    for text in (to_text(found), to_markdown(found)):
        assert "protocol: center, at a scale that was not recorded, without mirror images" in text


def test_each_image_at_its_own_size_is_not_a_scale_that_nobody_wrote_down():
    found = replace(measure(np.eye(2), np.array([0, 1]), classes=names(2)), scales=())
    again = from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.scales == ()
    assert "protocol: center, each image at its own size, without mirror images" in to_text(again)


def test_json_of_another_kind_is_refused_by_its_keys():
    record = measure(np.eye(2), np.array([0, 1]), classes=names(2)).to_json()
    with pytest.raises(DataError, match="top1"):
        from_json({key: value for key, value in record.items() if key != "top1"})


def test_the_most_confused_pairs_come_by_count_and_leave_out_what_never_happened():
    logits = np.eye(3)[[0, 1, 1, 2, 2, 0]]
    found = most_confused(measure(logits, np.array([0, 0, 0, 0, 1, 2]), classes=("a", "b", "c")), 10)
    assert [(pair.truth, pair.predicted, pair.count, pair.share) for pair in found] == [
        ("a", "b", 2, 0.5),
        ("a", "c", 1, 0.25),
        ("b", "c", 1, 1.0),
        ("c", "a", 1, 1.0),
    ]


def test_the_interval_is_wilsons():
    from scipy.stats import binomtest

    for hits, count in ((0, 5), (5, 5), (390, 397), (1, 1), (50, 100)):
        exact = binomtest(hits, count).proportion_ci(method="wilson")
        assert interval(hits / count, count=count) == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_measuring_does_not_import_torchmetrics():
    import subprocess
    import sys

    code = (
        "import sys, verydeep.evaluation.metrics; raise SystemExit(bool({'torch', 'torchmetrics'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
