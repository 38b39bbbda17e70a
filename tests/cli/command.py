"""What the tests of the command line share: the answer of a command, and the variables it is started with."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ALONE = ("--workers", "0", "--device", "cpu")
TINY = ("--arch", "1x4,1x8", "--fc", "0", *ALONE)  # 666 parameters on the digits


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind: its exit code and what it said."""

    code: int
    out: str
    err: str


def environment(**variables: str | None) -> dict[str, str]:
    """This process's variables with some changed, or taken away where they are None."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VERYDEEP_")}
    own = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **variables}
    return {name: value for name, value in (inherited | own).items() if value is not None}


def command(*words: object) -> list[str]:
    """The words that start the command as a process."""
    return [sys.executable, "-m", "verydeep", *map(str, words)]
