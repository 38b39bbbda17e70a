"""Two looks at a machine: what it is, noted with every run, and what it lacks, found before a run fails of it."""

import platform
from typing import Any

from verydeep.record import machine
from verydeep.record.checks import CHECKS, Finding, answer

PACKAGES = ("verydeep", "torch", "torchvision", "numpy", "pillow", "safetensors")


def environment() -> dict[str, Any]:
    """JSON values; nothing in them names the user: no host name, no home folder.

    None or empty where something cannot be found out, so that it never stops a run.
    """
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": machine.cpu(),
        "cpu_flags": list(machine.cpu_flags()),
        "cores": machine.cores(),
        "threads": machine.threads(),
        "memory_bytes": machine.memory_bytes(),
        "cuda": list(machine.cuda_devices()),
        "packages": {name: machine.version(name) for name in PACKAGES},
        "commit": machine.commit(),
    }


def doctor() -> list[Finding]:
    """All findings, in a fixed order; a check that itself breaks is a finding too."""
    return [answer(name, check) for name, check in CHECKS.items()]
