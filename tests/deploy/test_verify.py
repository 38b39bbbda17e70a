"""The check of an export notices what a user would, and says where."""

from typing import Any

import numpy as np
import pytest

from verydeep.deploy.verify import BATCHES, COUNT, TOLERANCE, check, check_finite_like
from verydeep.errors import VerificationError

PIXELS = [
    np.arange(COUNT * side * side, dtype=np.uint32).astype(np.uint8).reshape(COUNT, 1, side, side) for side in (3, 4)
]


def model(pixels: Any) -> Any:
    """Three logits of an image, the largest in size 200."""
    base = pixels.astype(np.float32).mean((1, 2, 3))[:, None] / 255
    return np.concatenate([base, 1 - base, np.full_like(base, -200)], axis=1)


def test_what_is_equal_passes_and_what_was_seen_is_told():
    seen: list[tuple[int, ...]] = []

    def exported(pixels: Any) -> Any:
        seen.append(pixels.shape)
        return model(pixels) + np.float32(0.5 * TOLERANCE * 200)

    found = check(exported, reference=model, images=PIXELS)
    assert (found.batches, found.sizes, found.images) == (BATCHES, ((3, 3), (4, 4)), 2 * COUNT)
    assert seen == [(count, 1, side, side) for side in (3, 4) for count in (1, 2, 7)]
    assert found.error == pytest.approx(0.5 * TOLERANCE, rel=1e-3)


def test_a_logit_that_is_off_is_found_though_the_classes_are_the_same():
    def exported(pixels: Any) -> Any:
        logits = model(pixels)
        logits[-1, 2] -= 3 * TOLERANCE * 200 * (len(pixels) == 7)
        return logits

    with pytest.raises(
        VerificationError, match=r"at batch 7 of 3x3 a logit is off by 3\.0e-04 of the largest"
    ) as caught:
        check(exported, reference=model, images=PIXELS)
    assert caught.value.code == "EXPORT-MISMATCH"
    assert caught.value.exit_code == 8


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_is_off(value: float):
    with pytest.raises(VerificationError, match="a logit is not a finite number"):
        check(lambda pixels: np.full((len(pixels), 3), value), reference=model, images=PIXELS)


def test_another_class_is_found_though_no_logit_is_off():
    with pytest.raises(VerificationError, match="at batch 1 of 3x3 it names other classes than the model"):
        check(torn, reference=lambda pixels: undecided(pixels, 1.1), images=PIXELS)


def test_two_classes_that_the_model_itself_hardly_tells_apart_may_change_places():
    assert check(torn, reference=lambda pixels: undecided(pixels, 0.9), images=PIXELS).error < TOLERANCE


def undecided(pixels: Any, margin: float) -> Any:
    """The second class is preferred to the first by so many tolerances."""
    return np.array([[0, margin * TOLERANCE * 200, -200]] * len(pixels))


def torn(pixels: Any) -> Any:
    """The first class is preferred, and no logit is off by more than 0.7 of the tolerance."""
    return np.array([[0.6 * TOLERANCE * 200, 0.5 * TOLERANCE * 200, -200]] * len(pixels))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda logits: logits[:, :2], r"it gives \(2, 2\), the model \(2, 3\)"),
        (lambda logits: logits * np.inf, "a logit is not a finite number"),
    ],
)
def test_rounded_logits_may_be_off_but_not_fewer_and_not_infinite(wrong: Any, said: str):
    seen: list[int] = []

    def rounded(pixels: Any) -> Any:
        seen.append(len(pixels))
        return np.round(model(pixels))

    check_finite_like(rounded, reference=model, images=PIXELS)
    assert seen == [*BATCHES, *BATCHES]
    with pytest.raises(VerificationError, match=f"at batch 2 of 3x3 {said}"):
        check_finite_like(
            lambda pixels: wrong(model(pixels)) if len(pixels) == 2 else model(pixels), reference=model, images=PIXELS
        )


def test_another_number_of_logits_is_found():
    with pytest.raises(VerificationError, match=r"at batch 1 of 3x3 it gives \(1, 2\), the model \(1, 3\)"):
        check(lambda pixels: model(pixels)[:, :2], reference=model, images=PIXELS)


def test_a_network_that_says_nothing_but_zero_is_no_division_by_zero():
    def silent(pixels: Any) -> Any:
        return 0 * model(pixels)

    assert check(silent, reference=silent, images=PIXELS).error == 0
