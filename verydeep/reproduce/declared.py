"""The paper's experiments in its own words: a network trained at a scale S, tested at scales Q by a protocol.

arXiv:1409.1556, section 3 and tables 3 to 7. Pixels are the paper's; `scales.Scale` says what stands for them.
"""

from dataclasses import dataclass
from typing import Literal

Side = Literal["256", "384", "[256;512]"]  # S, the smallest side of a training image; the last is drawn for each image
Kind = Literal["center", "dense", "multi-crop", "both"]  # how a network looks at a test image
TestSides = Literal["one", "three"]  # how many scales Q it is shown at

CROP = 224  # pixels of the square that the networks read
JITTERED: Side = "[256;512]"
GROWN = ("B", "C", "D", "E")  # begin with layers of net A; the others, A-LRN and the shallow net too, from nothing
GROWN_FROM = "A"


@dataclass(frozen=True, slots=True)
class Trained:
    """A network of Table 1, or the shallow one of section 4.1, trained as section 3.1 says."""

    net: str
    side: Side = "256"

    def begins_with(self) -> "Trained | None":
        """The training whose weights this one takes over: net A for a deeper one, else the same net at another S."""
        match self.side:
            case "256":
                return Trained(GROWN_FROM) if self.net in GROWN else None
            case "384":
                return Trained(self.net, "256")
            case "[256;512]":
                return Trained(self.net, "384")

    def goes_on(self) -> bool:
        """Whether it takes over all weights, of the same net, rather than some layers."""
        return self.side != "256"


@dataclass(frozen=True, slots=True)
class Experiment:
    """Trained networks tested by one protocol; the posteriors of several are averaged (section 4.4)."""

    trained: tuple[Trained, ...]
    kind: Kind = "dense"
    sides: TestSides = "one"


def sides_of_test(trained: Trained, sides: TestSides) -> tuple[int, ...]:
    """The scales Q of a network (sections 4.1 and 4.2): S and S -+ 32; with jitter 384, or 256, 384 and 512."""
    if trained.side == JITTERED:
        return (384,) if sides == "one" else (256, 384, 512)
    side = int(trained.side)
    return (side,) if sides == "one" else (side - 32, side, side + 32)
