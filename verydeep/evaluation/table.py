"""An evaluation as text: the headline numbers, a line for each class, and the classes most often confused."""

from verydeep.evaluation.metrics import Evaluation, most_confused
from verydeep.evaluation.protocol import said
from verydeep.report import grid

HEADER = ("class", "images", "precision", "recall", "F1")
ALIGN: tuple[grid.Align, ...] = ("left", "right", "right", "right", "right")
SHOWN = 5  # pairs of confused classes
MOST_COLUMNS = 20  # classes whose confusion matrix fits a page


def to_text(evaluation: Evaluation) -> str:
    """For a terminal."""
    table = grid.plain(HEADER, _rows(evaluation), align=ALIGN)
    matrix = [grid.plain(*_matrix(evaluation), align=_aligned(evaluation)), ""] if _is_small(evaluation) else []
    return "\n".join((*_headline(evaluation), "", table, "", *matrix, *_confused(evaluation)))


def to_markdown(evaluation: Evaluation) -> str:
    """For a document."""
    table = grid.markdown(HEADER, _rows(evaluation), align=ALIGN)
    matrix = [grid.markdown(*_matrix(evaluation), align=_aligned(evaluation)), ""] if _is_small(evaluation) else []
    return "\n".join((*(f"- {line}" for line in _headline(evaluation)), "", table, "", *matrix, *_confused(evaluation)))


def _headline(evaluation: Evaluation) -> tuple[str, ...]:
    return (
        f"top-1 {evaluation.top1:.4f}, top-5 {evaluation.top5:.4f} (micro, over {evaluation.count:,} images)",
        f"mean recall {evaluation.macro_recall:.4f} (macro, over classes)",
        f"cross-entropy {evaluation.loss:.4f} nats, expected calibration error {evaluation.ece:.4f}",
        *_tested(evaluation),
    )


def _tested(evaluation: Evaluation) -> tuple[str, ...]:
    """The protocol; where several runs were fused, a line for each of them."""
    if not evaluation.runs:
        return (f"protocol: {said(evaluation.protocol, scales=evaluation.scales, flip=evaluation.flip)}",)
    return tuple(
        f"fused: {one.run} by {said(one.protocol, scales=one.scales, flip=one.flip)}" for one in evaluation.runs
    )


def _rows(evaluation: Evaluation) -> list[list[str]]:
    return [
        [entry.name, f"{entry.support:,}", *(_fraction(value) for value in (entry.precision, entry.recall, entry.f1))]
        for entry in evaluation.per_class
    ]


def _fraction(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _is_small(evaluation: Evaluation) -> bool:
    return len(evaluation.per_class) <= MOST_COLUMNS


def _matrix(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    """The confusion matrix: a row for each true class, a column for each predicted one."""
    names = [entry.name for entry in evaluation.per_class]
    rows = [[name, *map(str, counts)] for name, counts in zip(names, evaluation.confusion, strict=True)]
    return ["true \\ predicted", *names], rows


def _aligned(evaluation: Evaluation) -> list[grid.Align]:
    return ["left", *("right" for _ in evaluation.per_class)]


def _confused(evaluation: Evaluation) -> tuple[str, ...]:
    pairs = most_confused(evaluation, SHOWN)
    if not pairs:
        return ("no class was taken for another",)
    return (
        "most confused:",
        *(f"  {pair.truth} taken for {pair.predicted}: {pair.count} ({pair.share:.1%})" for pair in pairs),
    )
