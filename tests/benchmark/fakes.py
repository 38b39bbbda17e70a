"""Things to be measured whose behaviour is known: they are made in processes of their own, by their names here."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.benchmark.contest import Entrant
from verydeep.benchmark.ready import Ready

MEGABYTE = 1_000_000


def entrant(maker: str, name: str, **job: Any) -> Entrant:
    """An entrant of one of the makers below."""
    return Entrant(name, f"tests.benchmark.fakes:{maker}", {"name": name, **job})


def logged(job: Mapping[str, Any]) -> Ready:
    """Notes in a file when each call begins and ends, and whose it is."""

    def call() -> Any:
        for what in ("begin", "end"):
            with Path(job["log"]).open("a") as log:
                log.write(f"{what} {job['name']}\n")
            time.sleep(job.get("seconds", 0.0))
        return np.full((2, 3), job.get("value", 1.0), np.float32)

    return Ready(call, {"version": "7"})


def dying(job: Mapping[str, Any]) -> Ready:
    """Ends its own process in the call of a number, by a signal or with an exit code."""
    calls = [0]

    def call() -> None:
        calls[0] += 1
        if calls[0] == job["call"]:
            print("the last words", file=sys.stderr, flush=True)
            if "signal" in job:
                os.kill(os.getpid(), job["signal"])
            os._exit(3)

    return Ready(call)


def failing(job: Mapping[str, Any]) -> Ready:
    """Cannot be made."""
    raise ValueError(f"there is no kernel\nfor {job['name']}")


def chatty(job: Mapping[str, Any]) -> Ready:
    """Prints to standard output, as libraries do, when it is made and whenever it is called."""
    print("made", flush=True)
    return Ready(lambda: os.write(1, b"called\n"))


def spinning(job: Mapping[str, Any]) -> Ready:
    """Its thread goes on to compute for `job["seconds"]` after a call."""

    def spin() -> None:
        end = time.monotonic() + job["seconds"]
        while time.monotonic() < end:
            pass

    return Ready(lambda: threading.Thread(target=spin, daemon=True).start())


def greedy(job: Mapping[str, Any]) -> Ready:
    """Takes 200 MB to be made, and 60 MB in a call."""
    np.ones(200 * MEGABYTE, np.uint8)
    return Ready(lambda: np.ones(60 * MEGABYTE, np.uint8).sum())


def parent(job: Mapping[str, Any]) -> Ready:
    """Starts a process of its own, which would sleep for ten minutes, and leaves both numbers in a file."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(job["numbers"]).write_text(f"{os.getpid()} {child.pid}")
    return Ready(lambda: None)
