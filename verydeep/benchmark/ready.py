"""What a process of a contest has made ready to be called, again and again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Ready:
    """One thing that is measured."""

    call: Callable[[], Any]  # computes once; an array that it returns can be asked for
    about: dict[str, Any] = field(default_factory=dict)  # JSON: what is worth knowing of it, such as its version
