"""How well localisers do on a set with boxes, by either protocol of appendix A, as one record and as text."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from verydeep.data.check import refuse_unreadable
from verydeep.data.decode import shown
from verydeep.engine.choice import EngineName
from verydeep.errors import ConfigError
from verydeep.localise.annotated import Annotated, suited
from verydeep.localise.center import center_boxes
from verydeep.localise.constant import MOST_OBJECTS, best_constant_box, placed_constant
from verydeep.localise.error import ground_truth_error, guessed_error
from verydeep.localise.guesses import guess_all, refuse_unlike, scales_of
from verydeep.localise.localiser import Localiser
from verydeep.localise.merge import CLOSE
from verydeep.report import grid
from verydeep.run import Run, open_run

ProtocolNumber: TypeAlias = Literal[1, 2]


@dataclass(frozen=True, slots=True)
class LocalisationResult:
    """Errors as fractions."""

    protocol: ProtocolNumber
    images: int
    ground_truth_error: float  # the class is given
    top5_error: float | None  # five guesses of class and box; protocol 2 only
    constant_error: float  # of the best box that looks at no image, found on these same images, or 2,000 of them
    scales: tuple[int, ...]  # smallest sides Q of protocol 2; () for protocol 1

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `json.dumps`."""
        return asdict(self) | {"scales": list(self.scales)}


def evaluate_localisers(
    localisers: Sequence[Localiser],
    data: Annotated,
    *,
    protocol: ProtocolNumber = 1,
    classifier: Run | None = None,
    scales: Sequence[int] = (),
    close: float = CLOSE,
    device: str = "auto",
    engine: EngineName = "auto",
) -> LocalisationResult:
    """The errors of a localiser, or in protocol 2 of several together.

    Args:
        localisers: One, or in protocol 2 as many as shall be joined.
        data: Images with boxes.
        protocol: 1, the centre crop and the true class; 2, dense boxes, merged, and the classifier's guesses.
        classifier: That rates the boxes of protocol 2; None is the one that the first localiser was made from.
        scales: Smallest sides Q of protocol 2; () is the one of the classifier's preprocessing.
        close: The match score up to which boxes are merged.
        device: "auto", "cpu", "cuda" or "cuda:N".
        engine: That computes.

    Raises:
        ConfigError: options that do not go together, or networks that do not (see `guesses.Guesser`).
        DataError: an image cannot be read, or a class is none of the localiser's; before anything is computed.
        ResourceError: an image is too large for a scale of protocol 2.
    """
    refuse_options(localisers, protocol=protocol, classifier=classifier, scales=scales)
    data = suited(data, classes=localisers[0].classes, channels=localisers[0].preprocessing.channels)
    refuse_unreadable(data.split)
    constant = ground_truth_error(placed_constant(best_constant_box(data, most=MOST_OBJECTS), data), data)
    if protocol == 1:
        boxes = center_boxes(localisers[0], data, device=device, engine=engine)
        return LocalisationResult(1, len(data), ground_truth_error(boxes, data), None, constant, ())
    rater = classifier or classifier_of(localisers[0])
    used = scales_of(rater, scales)
    guesses, own = guess_all(localisers, rater, data, scales=used, close=close, device=device, engine=engine)
    return LocalisationResult(2, len(data), ground_truth_error(own, data), guessed_error(guesses, data), constant, used)


def refuse_options(
    localisers: Sequence[Localiser], *, protocol: ProtocolNumber, classifier: Run | None, scales: Sequence[int]
) -> None:
    """ConfigError for options that do not go together, asked before data is read; as `evaluate_localisers`."""
    if protocol == 1:
        _refuse_for_centre(localisers, classifier=classifier, scales=scales)
    else:
        refuse_unlike(localisers, classifier or classifier_of(localisers[0]), scales=scales)


def classifier_of(localiser: Localiser) -> Run:
    """The run that a localiser was made from; ConfigError, code LOCALISE-CLASSIFIER, where it has gone."""
    place = localiser.classifier
    if place is None or not Path(place).exists():
        gone = "nothing says which" if place is None else f"{shown(place)} is not there any more"
        raise ConfigError(
            f"the classifier that {shown(localiser.path)} was made from is needed, and {gone}",
            code="LOCALISE-CLASSIFIER",
            hint="Name one with --classifier RUN.",
        )
    return open_run(place)


def to_text(result: LocalisationResult, *, form: Literal["text", "markdown"] = "text") -> str:
    """The errors in percent, as the paper prints them."""
    rows = [("true class given", result.ground_truth_error)]
    if result.top5_error is not None:
        rows.append(("five guesses (ILSVRC)", result.top5_error))
    rows.append(("the best constant box", result.constant_error))
    cells = [[name, f"{100 * error:.1f}"] for name, error in rows]
    draw = grid.plain if form == "text" else grid.markdown
    where = f", Q = {', '.join(map(str, result.scales))}" if result.scales else ", centre crop"
    title = f"protocol {result.protocol}{where}; {result.images:,} images; a box is right above an IoU of 0.5"
    return f"{title}\n\n{draw(('localisation error', '%'), cells, align=('left', 'right'))}"


def _refuse_for_centre(localisers: Sequence[Localiser], *, classifier: Run | None, scales: Sequence[int]) -> None:
    wrong = {
        "several localisers": len(localisers) > 1,
        "--classifier": classifier is not None,
        "--scales": bool(scales),
    }
    for name, given in wrong.items():
        if given:
            raise ConfigError(
                f"protocol 1 and {name} do not go together", code="OPTIONS-DISAGREE", hint="Give --protocol 2."
            )
