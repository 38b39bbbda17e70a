"""A network that is built and computed in no time, and records of benchmarks as they might have been."""

from typing import Any

from verydeep.benchmark.bench import Bench
from verydeep.benchmark.circumstances import Circumstances
from verydeep.benchmark.rows import Row
from verydeep.families.vgg import vgg

NETWORK = vgg(((1, 4), (1, 6)), input=(1, 8, 8), classes=5, fc=(7,))

MACHINE: dict[str, Any] = {"cpu": "A processor", "cpu_flags": ["avx2"], "cores": 2}


def around(**changes: Any) -> Circumstances:
    """The conditions of a run that never was."""
    given: dict[str, Any] = {
        "threads": 2,
        "calls": 20,
        "seed": 0,
        "others_before": 0.0,
        "others_during": None,
        "warnings": (),
        "machine": MACHINE,
    }
    return Circumstances(**{**given, **changes})


def row(engine: str, size: int = 8, batch: int = 1, **values: Any) -> Row:
    """A row in float32."""
    return Row(engine, "float32", batch, size, size, **values)


def found(*rows: Row, **conditions: Any) -> Bench:
    """A benchmark with these rows."""
    return Bench(NETWORK, "torch float32", rows, around(**conditions))
