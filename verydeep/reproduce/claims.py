"""What the paper's tables say, as claims that can fail: two experiments each, and which of them errs less.

arXiv:1409.1556, sections 4.1 to 4.4. The paper's figures are those of `published`.
"""

from dataclasses import dataclass
from typing import Literal

from verydeep.reproduce.declared import JITTERED, Experiment, Trained

MARGIN = 0.5  # percentage points of top-1 error; the paper's smallest step of depth from A, 0.9, halved and rounded:
# a gain that is surely smaller counts as none


@dataclass(frozen=True, slots=True)
class Claim:
    """What is said of two experiments' top-1 errors: that `better` gains on each of `worse`, or that it does not."""

    name: str
    text: str
    section: str
    worse: tuple[Experiment, ...]  # of several the one that errs least with each seed
    better: Experiment
    paper: float | None  # error of `worse` less that of `better` in the paper, percentage points
    says: Literal["gains", "does not gain"] = "gains"


def _dense(net: str) -> Experiment:
    return Experiment((Trained(net),))


_JITTERED = Trained("D", JITTERED)
_BOTH = (Trained("D", JITTERED), Trained("E", JITTERED))

CLAIMS = (
    Claim("depth A-B", "B (13 layers in the paper) errs less than A (11)", "4.1", (_dense("A"),), _dense("B"), 0.9),
    Claim("depth B-C", "C errs less than B: more non-linearity helps", "4.1", (_dense("B"),), _dense("C"), 0.6),
    Claim("depth C-D", "D errs less than C: spatial context helps", "4.1", (_dense("C"),), _dense("D"), 1.1),
    Claim("depth A-D", "D errs less than A: depth helps", "4.1", (_dense("A"),), _dense("D"), 2.6),
    Claim("depth A-E", "E errs less than A: depth helps", "4.1", (_dense("A"),), _dense("E"), 2.3),
    Claim(
        "lrn",
        "LRN does not help: A-LRN errs no less than A",
        "4.1",
        (_dense("A"),),
        _dense("A-LRN"),
        -0.1,
        says="does not gain",
    ),
    Claim(
        "shallow",
        "B errs less than the shallow net of 5x5 kernels (centre crop)",
        "4.1",
        (Experiment((Trained("shallow"),), "center"),),
        Experiment((Trained("B"),), "center"),
        7.0,
    ),
    Claim(
        "jitter 256",
        "D trained at drawn scales errs less than at S = 256",
        "4.1",
        (_dense("D"),),
        Experiment((_JITTERED,)),
        1.4,
    ),
    Claim(
        "jitter 384",
        "D trained at drawn scales errs less than at S = 384",
        "4.1",
        (Experiment((Trained("D", "384"),)),),
        Experiment((_JITTERED,)),
        1.2,
    ),
    Claim(
        "scales",
        "three test scales err less than one (D, S = 256)",
        "4.2",
        (_dense("D"),),
        Experiment((Trained("D"),), sides="three"),
        0.4,
    ),
    Claim(
        "scales, jitter",
        "three test scales err less than one (D, drawn S)",
        "4.2",
        (Experiment((_JITTERED,)),),
        Experiment((_JITTERED,), sides="three"),
        0.8,
    ),
    Claim(
        "both, dense",
        "crops and dense together err less than dense alone (D, drawn S)",
        "4.3",
        (Experiment((_JITTERED,), sides="three"),),
        Experiment((_JITTERED,), "both", "three"),
        0.4,
    ),
    Claim(
        "both, crops",
        "crops and dense together err less than crops alone (D, drawn S)",
        "4.3",
        (Experiment((_JITTERED,), "multi-crop", "three"),),
        Experiment((_JITTERED,), "both", "three"),
        0.2,
    ),
    Claim(
        "fusion",
        "D and E together err less than the better of them (drawn S)",
        "4.4",
        tuple(Experiment((one,), sides="three") for one in _BOTH),
        Experiment(_BOTH, sides="three"),
        0.8,
    ),
)
