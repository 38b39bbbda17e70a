"""The check of an export notices what a user would, and says where."""

from typing import Any

import numpy as np
import pytest

from verydeep.deploy.verify import BATCHES, COUNT, TOLERANCE, check
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
    with pytest.raises(VerificationError, match="a logit is off by"):
        check(lambda pixels: np.full((len(pixels), 3), value), reference=model, images=PIXELS)


def test_another_class_is_found_though_no_logit_is_off():
    def exported(pixels: Any) -> Any:
        return model(pixels) + np.array([[0.4, -0.4, 0]], np.float32) * TOLERANCE * 200

    def undecided(pixels: Any) -> Any:
        logits = model(pixels)
        logits[:, :2] = (0.500, 0.501)
        return logits

    with pytest.raises(VerificationError, match="at batch 1 of 3x3 it names other classes than the model"):
        check(lambda pixels: undecided(pixels) + exported(pixels) - model(pixels), reference=undecided, images=PIXELS)


def test_another_number_of_logits_is_found():
    with pytest.raises(VerificationError, match=r"at batch 1 of 3x3 it gives \(1, 2\), the model \(1, 3\)"):
        check(lambda pixels: model(pixels)[:, :2], reference=model, images=PIXELS)


def test_a_network_that_says_nothing_but_zero_is_no_division_by_zero():
    def silent(pixels: Any) -> Any:
        return 0 * model(pixels)

    assert check(silent, reference=silent, images=PIXELS).error == 0
