"""One process of a contest: it builds one thing, calls it when asked, says how long that took, and sleeps.

Questions and answers are lines of JSON, on pipes: a process that waits for a line does not compute. What the libraries
print goes to standard error, which the parent keeps to quote from. A closed pipe ends the process: none outlives the
parent, however that ended.
"""

import json
import os
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from verydeep.benchmark.ready import Ready
from verydeep.benchmark.resident import forget_peak, peak_bytes

FIRST_TO_GO = "500"  # of 1000: where memory runs out, the system ends this process and not the user's others
LONGEST = 300  # characters of an error


def main() -> None:
    """Answer on standard output until standard input is closed."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    questions = os.fdopen(os.dup(0), "r", buffering=1)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with suppress(OSError):  # another system than Linux
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    serve(questions, answers)


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer each line of `questions` by a line of `answers`: what was asked for, or {"failed": why}."""
    one = One()
    for line in questions:
        question = json.loads(line)
        try:
            answer = one.answer(**question)
        except Exception as error:  # whatever a library raises is its row in the table
            answer = {"failed": _words(error)}
        print(json.dumps(answer), file=answers, flush=True)


class One:
    """The one thing that this process builds."""

    def __init__(self) -> None:
        self.ready = Ready(lambda: None)
        self.result: Any = None

    def answer(self, do: str, **given: Any) -> dict[str, Any]:
        """What there is to say after doing `do`."""
        match do:
            case "build":
                return self.build(**given)
            case "call":
                began = time.perf_counter()
                self.result = self.ready.call()
                return {"seconds": time.perf_counter() - began}
            case "settle":
                building = peak_bytes()
                forget_peak()
                return {"build_bytes": building}
            case "save":
                np.save(given["path"], self.result)
                return {}
            case "finish":
                return {"peak_bytes": peak_bytes(), "about": self.ready.about}
        raise ValueError(f"nothing here is called {do!r}")

    def build(self, *, maker: str, job: dict[str, Any]) -> dict[str, Any]:
        """Let `maker`, as "module:function", make of a job what is called from now on."""
        module, _, function = maker.partition(":")
        self.ready = getattr(import_module(module), function)(job)
        return {}


def _words(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no reason given"
    return f"{type(error).__name__}: {text}"[:LONGEST]


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # some libraries abort as they clean up, which nobody wants to read
