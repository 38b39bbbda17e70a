"""Opening what somebody else named: a regular file is opened, a folder, a pipe or a device is refused at once."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from verydeep.errors import WeightsError


def opened(path: Path) -> BinaryIO:
    """The file, open for reading; the open descriptor decides what it is, so that nobody can exchange it in between.

    Raises:
        WeightsError: code WEIGHTS-UNREADABLE.
    """
    try:  # O_NONBLOCK: a pipe that nobody writes to would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(f"{path} cannot be opened: {why}") from None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise _unreadable(f"{path} is no regular file")


def _unreadable(why: str) -> WeightsError:
    return WeightsError(why, code="WEIGHTS-UNREADABLE", hint="Check the path.")
