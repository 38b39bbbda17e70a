"""How good a network's scores are: accuracy, loss, recall, calibration, and which classes it takes for which.

Plain NumPy on float64. torchmetrics gives the same numbers (the tests compare them) but takes 4 seconds to import,
breaks ties without a stated rule, and reads logits that all happen to lie in [0, 1] as probabilities.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import DataError, NumericalError

BINS = 15  # of the calibration error, as in Guo et al.
NORMAL_95 = 1.959964  # the standard normal's 97.5 % point


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class against all others; fractions, and None where a number is 0 / 0."""

    name: str
    support: int  # samples of this class
    precision: float | None  # of the samples called this class, the share that is; None: no sample was called it
    recall: float | None  # of this class's samples, the share that was found; None: there are none
    f1: float | None  # harmonic mean of the two; None: no sample is or was called this class


@dataclass(frozen=True, slots=True)
class Member:
    """A run, and the protocol by which it was tested; see `verydeep.evaluation.protocol`."""

    run: str  # its folder, or the model's file
    protocol: str
    scales: tuple[int, ...]  # smallest sides in pixels; (): each image at its own size
    flip: bool  # with mirror images


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one pass over labelled samples gives; fractions, never percent."""

    count: int  # samples
    top1: float  # share of samples whose class has the highest score (micro average)
    top5: float  # share whose class is among the five highest; 1.0 by definition with five classes or fewer
    loss: float  # mean cross-entropy in nats; ln(classes) for a network that cannot tell them apart
    macro_recall: float  # mean recall of the classes that have samples, each class counting the same
    ece: float  # expected calibration error in 15 bins, see `calibration_error`
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]  # row: the true class; column: the predicted one; samples
    engine: str | None = None  # that computed the scores, as `verydeep.engine.choose` names it
    protocol: str = "center"  # by which the first run was tested, or the only one
    scales: tuple[int, ...] | None = None  # its scales, () for each image at its own size; None: nobody wrote them down
    flip: bool = False  # whether its mirror images counted
    runs: tuple[Member, ...] = ()  # whose posteriors were averaged; () where there was one run alone

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers, strings and None, for `json.dumps`."""
        record = asdict(self)
        record["per_class"] = list(record["per_class"])
        record["confusion"] = [list(row) for row in self.confusion]
        record["scales"] = None if self.scales is None else list(self.scales)
        record["runs"] = [{**entry, "scales": list(entry["scales"])} for entry in record["runs"]]
        return record


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often samples of one class were called another."""

    truth: str
    predicted: str
    count: int
    share: float  # of the true class's samples


def from_json(value: dict[str, Any]) -> Evaluation:
    """The record that `to_json` wrote; DataError where keys are missing or unknown."""
    # Records from before there were engines, and protocols.
    value = {"engine": None, "protocol": "center", "scales": None, "flip": False, "runs": [], **value}
    difference = sorted({field.name for field in fields(Evaluation)} ^ set(value))
    for entry in value["runs"]:
        difference += sorted({field.name for field in fields(Member)} ^ set(entry))
    if difference:
        raise DataError(f"an evaluation has missing or unknown keys: {', '.join(difference)}", code="EVAL-RECORD")
    classes = tuple(ClassMetrics(**entry) for entry in value["per_class"])
    confusion = tuple(tuple(row) for row in value["confusion"])
    runs = tuple(Member(**{**entry, "scales": tuple(entry["scales"])}) for entry in value["runs"])
    scales = None if value["scales"] is None else tuple(value["scales"])
    rest = {"per_class": classes, "confusion": confusion, "scales": scales, "runs": runs}
    return Evaluation(**{**value, **rest})


def measure(logits: NDArray[Any], labels: NDArray[Any], *, classes: tuple[str, ...]) -> Evaluation:
    """The evaluation of scores before softmax [n, c] against labels [n], each an index into the c `classes`.

    Of equal scores the class that comes first in `classes` ranks higher (as `numpy.argmax` has it): the prediction,
    top-1, top-5 and the confusion counts follow one order, and a network that gives all classes the same score is
    not rewarded with a top-1 of 100 %.

    Raises:
        DataError: no samples, or shapes and labels that do not belong together (EVAL-EMPTY, EVAL-SHAPE).
        NumericalError: a score is NaN or infinite (EVAL-NONFINITE); names the first such sample.
    """
    _check(logits, labels, classes=classes)
    scores = np.asarray(logits, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.int64)
    predicted = scores.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    per_class = tuple(_of_class(confusion, number, name=name) for number, name in enumerate(classes))
    recalls = [entry.recall for entry in per_class if entry.recall is not None]
    return Evaluation(
        count=len(truth),
        top1=top_k(scores, truth, k=1),
        top5=top_k(scores, truth, k=5),
        loss=0.0 - float(log_softmax(scores)[np.arange(len(truth)), truth].mean()),  # never -0.0
        macro_recall=math.fsum(recalls) / len(recalls),
        ece=calibration_error(np.exp(log_softmax(scores)).max(axis=1), predicted == truth),
        per_class=per_class,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
    )


def top_k(scores: NDArray[np.float64], labels: NDArray[np.int64], *, k: int) -> float:
    """Share of samples whose label is among the k highest scores [n, c]; of equal scores the first class wins."""
    own = scores[np.arange(len(labels)), labels][:, None]
    before = np.arange(scores.shape[1]) < labels[:, None]
    ahead = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    return float((ahead < k).mean())


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of softmax over the last axis, without overflow."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def calibration_error(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Expected calibration error (Guo et al., arXiv:1706.04599): how far confidence and accuracy lie apart.

    Samples fall into 15 bins of equal width, (lower, upper], by the confidence of their prediction; the error is the
    mean over samples of |accuracy - mean confidence| of their bin.
    """
    bins = np.digitize(confidences, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    gaps = np.bincount(bins, weights=correct, minlength=BINS) - np.bincount(bins, weights=confidences, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidences))


def interval(share: float, *, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share of `count` samples (Wilson, 1927)."""
    square = NORMAL_95**2 / count
    centre = (share + square / 2) / (1 + square)
    reach = NORMAL_95 * math.sqrt(share * (1 - share) / count + square / count / 4) / (1 + square)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def most_confused(evaluation: Evaluation, k: int) -> tuple[Confusion, ...]:
    """The k commonest confusions, by count and then in the order of the classes; only those that happened."""
    names = [entry.name for entry in evaluation.per_class]
    pairs = [
        Confusion(names[i], names[j], count, count / sum(row))
        for i, row in enumerate(evaluation.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.count)[:k])


def _check(logits: NDArray[Any], labels: NDArray[Any], *, classes: tuple[str, ...]) -> None:
    if logits.ndim != 2 or labels.ndim != 1 or logits.shape != (len(labels), len(classes)):
        found = f"scores {list(logits.shape)}, labels {list(labels.shape)}, {len(classes)} classes"
        raise DataError(f"scores must be [samples, classes], found {found}", code="EVAL-SHAPE")
    if not len(labels):
        raise DataError("there are no samples to evaluate", code="EVAL-EMPTY", hint="Choose a split that has images.")
    if not np.issubdtype(labels.dtype, np.integer) or not 0 <= labels.min() <= labels.max() < len(classes):
        found = f"{labels.dtype} from {labels.min()} to {labels.max()}"
        raise DataError(f"labels must be whole numbers from 0 to {len(classes) - 1}, found {found}", code="EVAL-SHAPE")
    check_finite(logits)


def check_finite(logits: NDArray[Any], *, names: Sequence[str] = ()) -> None:
    """Raise NumericalError, code EVAL-NONFINITE, naming the first sample [n, c] with a score that is NaN or infinite.

    Without `names`, one for each sample, samples are called by their numbers, the first is 0.
    """
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        first = names[broken[0]] if names else f"sample {broken[0]}"
        raise NumericalError(
            f"the scores of {len(broken)} of {len(logits)} samples are not finite, the first are those of {first}",
            code="EVAL-NONFINITE",
            hint="The weights have diverged: train with a lower learning rate or with --clip 1.",
        )


def _of_class(confusion: NDArray[np.int64], number: int, *, name: str) -> ClassMetrics:
    hits, support, called = confusion[number, number], confusion[number].sum(), confusion[:, number].sum()
    return ClassMetrics(
        name=name,
        support=int(support),
        precision=_share(hits, called),
        recall=_share(hits, support),
        f1=_share(2 * hits, support + called),
    )


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
