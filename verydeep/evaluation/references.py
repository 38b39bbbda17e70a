"""Do known weights compute here what they computed where they come from? One image, and a few numbers for each file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from verydeep.backends import pytorch
from verydeep.data.preprocess import apply
from verydeep.errors import VerificationError, WeightsError
from verydeep.weights.importing import Imported

TOLERANCE = 1e-4  # of the largest |logit|: one set of weights in two programs, in float32


@dataclass(frozen=True, slots=True)
class Reference:
    """What the program that a file comes from computes with it."""

    origin: str  # the program and its version
    logits: tuple[float, ...]  # the first ones, for `image()`


# By the SHA-256 of the file. A line is added by whoever has the official file and its own program at hand; numbers that
# we computed ourselves would prove nothing. Nobody has yet.
REFERENCES: Mapping[str, Reference] = {}


def image() -> npt.NDArray[np.uint8]:
    """A texture [256, 256, 3], made of whole numbers so that no decoder's rounding is in it: x, y, x xor y."""
    y, x = np.indices((256, 256))
    return np.stack((x, y, x ^ y), axis=2).astype(np.uint8)


def digest(file: Path) -> str:
    """The SHA-256 of a file; WeightsError where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{file} cannot be opened: {error.strerror}", code="WEIGHTS-UNREADABLE", hint="Check the path."
        ) from None


def is_verified(file: Path, found: Imported, *, references: Mapping[str, Reference] = REFERENCES) -> bool:
    """Whether `file` is one of the known ones, and what was `found` in it computes what it should.

    It is not where the last layer was drawn anew, or nobody knows how images become input: there is nothing to compare.

    Raises:
        WeightsError: the file cannot be read.
        VerificationError: it is a known one, and its network computes something else here.
    """
    known = references.get(digest(file))
    if known is None or found.preprocessing is None or found.head == "drawn":
        return False
    with torch.inference_mode():
        model = pytorch.build(found.network, found.weights).eval()
        logits = model(apply(image(), found.preprocessing)[None])[0].numpy()
    expected = np.array(known.logits)
    difference = float(np.abs(logits[: len(expected)] - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise _other(file, known, f"a logit differs by {difference:.2g} of the largest")
    return True


def _other(file: Path, known: Reference, why: str) -> VerificationError:
    return VerificationError(
        f"{file} is known from {known.origin}, and here it is another network: {why}",
        code="WEIGHTS-REFERENCE",
        hint="Report this, please: the file is read wrongly.",
    )
