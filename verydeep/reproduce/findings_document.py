"""The findings: each claim with both errors, what is gained, and the verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, get_args

from verydeep.benchmark.sections import NONE, Section
from verydeep.report.words import plural
from verydeep.reproduce.claims import MARGIN
from verydeep.reproduce.decide import Verdict
from verydeep.reproduce.declared import JITTERED
from verydeep.reproduce.document import Document, circumstances, described, fraction, notes
from verydeep.reproduce.outcome import Finding, centre
from verydeep.reproduce.request import Request


def of_findings(findings: Sequence[Finding], request: Request, *, command: str) -> Document:
    """Each claim with both errors, what the second gains, and whether that held."""
    header = (
        *("finding", "verdict", "section", "errors"),
        *("paper gains", "ours gains", "95 % over seeds", "95 % over images", "images"),
    )
    cells = [_finding_row(one) for one in findings]
    counts = ", ".join(f"{sum(one.verdict == word for one in findings)} {word}" for word in get_args(Verdict))
    return Document(
        title=f"The paper's findings, scale {request.scale.name}: {counts}",
        sections=(Section("Top-1 errors in percent; gains in percentage points.", header, 4, cells),),
        notes=(*_rule(findings, request), *notes(request, command=command)),
        record={
            "table": "findings",
            **circumstances(request, command=command),
            "findings": [_finding_record(one, request) for one in findings],
        },
    )


def _finding_row(one: Finding) -> tuple[str, ...]:
    claim = one.claim
    return (
        claim.text,
        one.verdict,
        claim.section,
        f"{centre(one.worse):.2f} and {centre(one.better):.2f}",
        NONE if claim.paper is None else f"{claim.paper:+.1f}",
        f"{one.over_seeds.mean:+.2f}",
        f"{one.over_seeds.low:+.2f} to {one.over_seeds.high:+.2f}",
        f"{one.over_images.low:+.2f} to {one.over_images.high:+.2f}",
        f"{one.images:,}",
    )


def _rule(findings: Sequence[Finding], request: Request) -> Iterator[str]:
    """What the columns mean, and when a claim is held."""
    yield (
        "errors: of the network or protocol that should do worse, and of the one that should do better; gains: the "
        f"first less the second, mean of {plural(request.seeds, 'seed')}, each seed compared with itself"
    )
    yield (
        "held: both 95 % intervals, over seeds (Student's paired t) and over images, lie above 0; not held: both lie "
        "below 0; undecided: anything else, and where all seeds or images differ by exactly the same"
    )
    if any(one.claim.says == "does not gain" for one in findings):
        yield f"a claim of no gain is not held if both lie above 0, and else held if both lie below {MARGIN:g} points"
    yield (
        "depth: B to E begin with layers of a trained A, as in the paper, and so have had twice the epochs of A, A-LRN "
        "and the shallow net; a gain of depth is one of those epochs too"
    )
    yield from _jitter(request)
    guessing = [f"{one.claim.name} (seed {', '.join(map(str, one.guessing))})" for one in findings if one.guessing]
    if guessing:
        yield f"warning: undecided because one of the networks guesses: {', '.join(guessing)}"
    yield "95 % over images: the same networks on other images of this kind; it says nothing about other seeds"
    yield f"{len(findings)} claims are tested, each by itself: of 20 that were not so, chance would decide at most one"


def _jitter(request: Request) -> Iterator[str]:
    """How much longer a net with drawn S was trained than the one beside it."""
    last, first = (request.scale.settings[side].epochs for side in (JITTERED, "256"))
    middle = request.scale.settings["384"].epochs
    yield (
        f"jitter: a net with drawn S goes on from S = 384, and that from S = 256: {first} + {middle} + {last} epochs "
        f"against {first}, and {first} + {middle} for S = 384"
    )


def _finding_record(one: Finding, request: Request) -> dict[str, Any]:
    return {
        "name": one.claim.name,
        "claim": one.claim.text,
        "section": one.claim.section,
        "says": one.claim.says,
        "worse": [described(tested, request) for tested in one.claim.worse],
        "better": described(one.claim.better, request),
        "paper_gain": fraction(one.claim.paper),
        "worse_error": [fraction(value) for value in one.worse],
        "better_error": [fraction(value) for value in one.better],
        "gain": [fraction(value) for value in one.differences],
        "over_seeds": {name: fraction(value) for name, value in asdict(one.over_seeds).items()},
        "over_images": {name: fraction(value) for name, value in asdict(one.over_images).items()},
        "images": one.images,
        "guessing": list(one.guessing),
        "verdict": one.verdict,
    }
