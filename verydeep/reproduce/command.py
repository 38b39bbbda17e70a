"""The command as it is published: without the places of this machine."""

import shlex
from pathlib import Path

PLACES = ("--data-root", "--out", "--keep")
SHOWN = "DIR"


def without_places(command: str) -> str:
    """A command that a shell could read, with DIR for each folder; of a data set's folder its name stays."""
    shown, before = list[str](), ""
    for word in shlex.split(command):
        option, equals, value = word.partition("=")
        if before in PLACES:
            shown.append(SHOWN)
        elif before == "--data":
            shown.append(Path(word).name)
        elif equals and option in PLACES:
            shown.append(f"{option}={SHOWN}")
        elif equals and option == "--data":
            shown.append(f"{option}={Path(value).name}")
        else:
            shown.append(word)
        before = word
    return shlex.join(shown)
