"""What a reader's child says of a file besides its arrays, each part checked to be what such a file can say.

The child may be in the hands of the file's author. So there are no other parts than these, texts are short and obey no
terminal, and numbers are finite; what the parts mean is told where they are read (`mat_file`, `keras_file` ...).
"""

import math
from collections.abc import Callable
from typing import Any, cast

MOST_TEXT = 500  # letters of a name
MOST_ENTRIES = 100_000  # of a list of names
MOST_NUMBERS = 3 * 512 * 512  # of a mean image
MOST_AXES = 8
MOST_DEPTH = 100  # of a description of Keras, in which models lie within models
MOST_VALUES = 1_000_000  # in such a description
MOST_SAID = 10_000  # letters of a text in it


def checked(value: Any) -> dict[str, Any]:
    """What the child says, as it stands.

    Raises:
        ValueError: it is not what a file can say; the message names the part.
    """
    if not isinstance(value, dict):
        raise ValueError("itself")
    parts = cast("dict[str, Any]", value)
    for key, part in parts.items():
        if key not in CHECKS or not CHECKS[key](part):
            raise ValueError(key if key in CHECKS else "itself")
    return parts


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT and value.isprintable()


def _is_number(value: Any) -> bool:
    """Whether it is a finite number that a computer counts with; no bool."""
    return (type(value) is int and abs(value) < 2**64) or (type(value) is float and math.isfinite(value))


def _is_list(value: Any, *, most: int, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(entries := cast("list[Any]", value)) <= most and all(map(of, entries))


def _are_names(value: Any) -> bool:
    return _is_list(value, most=MOST_ENTRIES, of=_is_text)


def _are_layers(value: Any) -> bool:
    return _is_list(value, most=MOST_ENTRIES, of=_is_layer)


def _is_layer(value: Any) -> bool:
    """Whether it is a name, a type and perhaps options."""
    entries = cast("list[Any]", value) if isinstance(value, list) else []
    return len(entries) in (2, 3) and all(map(_is_text, entries[:2])) and all(map(_are_options, entries[2:]))


def _are_options(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_text(key) and (_is_text(said) or _is_number(said) or _is_list(said, most=MOST_AXES, of=_is_number))
        for key, said in cast("dict[str, Any]", value).items()
    )


def _is_image(value: Any) -> bool:
    """Whether it is lists of numbers; that they are rectangular is checked where the image is made."""
    level: list[Any] = [value]
    for _ in range(MOST_AXES + 1):
        if not any(isinstance(entry, list) for entry in level):
            return all(map(_is_number, level))
        if not all(isinstance(entry, list) for entry in level):
            return False
        level = [inner for entry in level for inner in entry]
        if not 0 < len(level) <= MOST_NUMBERS:
            return False
    return False


def _is_description(value: Any) -> bool:
    """Whether it is a JSON object of bearable depth and size."""
    level: list[Any] = [value]
    count = 0
    for _ in range(MOST_DEPTH):
        following: list[Any] = []
        for entry in level:
            if isinstance(entry, dict):
                following.extend(cast("dict[str, Any]", entry))
                following.extend(cast("dict[str, Any]", entry).values())
            elif isinstance(entry, list):
                following.extend(cast("list[Any]", entry))
            elif isinstance(entry, str) and not (len(entry) <= MOST_SAID and entry.isprintable()):
                return False
        count += len(following)
        if not following or count > MOST_VALUES:
            return isinstance(value, dict) and not following
        level = following
    return False


CHECKS: dict[str, Callable[[Any], bool]] = {
    "averageImage": _is_image,
    "backend": _is_text,
    "classes": _are_names,
    "config": _is_description,
    "layers": _are_layers,
    "preprocessing": _is_description,
}
