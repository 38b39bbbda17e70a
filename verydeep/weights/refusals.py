"""Why a file of weights is refused, in the words that all readers share."""

from verydeep.errors import WeightsError

AGAIN = "Copy or download the file again."


def damaged(why: str) -> WeightsError:
    """The file is not what its kind of file must be: cut short, altered, or made to mislead."""
    return WeightsError(why, code="WEIGHTS-CORRUPT", hint=AGAIN)


def code(why: str) -> WeightsError:
    """The file needs code to be read, or brings some with it."""
    return WeightsError(
        f"{why}; refused",
        code="WEIGHTS-CODE",
        hint="Where you trust it, load it with its own program and save the weights alone.",
    )


def foreign(why: str, *, hint: str) -> WeightsError:
    """The file is sound, perhaps, but not one that is read here."""
    return WeightsError(why, code="WEIGHTS-FORMAT", hint=hint)
