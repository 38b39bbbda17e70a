"""Options that several commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from cyclopts import CoercionError, Parameter, Token


def whole(kind: Any, tokens: Sequence[Token]) -> Any:
    """The whole number that an option gives, or all of them; cyclopts alone would take 6.5 and round it."""
    for token in tokens:
        if not token.value.lstrip("+-").isdecimal():
            raise CoercionError(f"{token.value!r} is not a whole number", token=token)
    numbers = tuple(int(token.value) for token in tokens)
    return numbers if get_origin(kind) is tuple else numbers[0]


WHOLE = Parameter(converter=whole)

FLAG = Parameter(negative="", show_default=False)  # off unless it is given

Out = Annotated[Path | None, Parameter(help="Write to this file instead of the terminal.")]
DataRoot = Annotated[Path | None, Parameter(help="Folder of the data set's files [env: VERYDEEP_DATA].")]
Download = Annotated[bool, FLAG, Parameter(help="Fetch the data set's files if they are missing.")]
Batch = Annotated[int, WHOLE, Parameter(help="Images computed at once.")]
Engine = Annotated[
    Literal["auto", "verydeep", "pytorch"],
    Parameter(help="What computes: our kernels or PyTorch; auto is ours where it is right and fast."),
]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N.")]
TokenFile = Annotated[Path | None, Parameter(help="File that holds the hub's token [env: HF_TOKEN, the token].")]
