"""Processes that work side by side: their failures, and Ctrl-C while they start."""

import errno
import signal
import threading
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from tests.reproduce.tiny import tiny
from verydeep.reproduce import crew
from verydeep.reproduce.agenda import Agenda
from verydeep.reproduce.declared import Trained
from verydeep.reproduce.experiments import Training
from verydeep.reproduce.task import Task

A, B, OTHER = Training(Trained("A"), 0), Training(Trained("B"), 0), Training(Trained("A"), 1)


class Hand(threading.Thread):
    """Answers as a process would, from a thread; net A of seed 0 diverges."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def run(self) -> None:
        with suppress(EOFError):
            while True:
                failed = crew.Failure("not finite", "TRAIN-NONFINITE", "", 5) if self._pipe.recv() == A else None
                self._pipe.send(crew.Answer(0.1, failed))

    def terminate(self) -> None:
        """It ends with its pipe."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "MEMORY"),
        (torch.OutOfMemoryError("CUDA out of memory"), "MEMORY"),
        (OSError(errno.ENOSPC, "No space left on device"), "RESOURCE"),
    ],
)
def test_what_a_process_runs_out_of_is_said_as_without_jobs(error, code: str, monkeypatch, capsys, tmp_path: Path):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(crew.tasks, "conduct", fail)
    failure = crew._do(A, tiny(tmp_path)).failure
    assert failure is not None
    assert (failure.code, failure.exit_code) == (code, 6)
    assert capsys.readouterr().err == ""  # and no traceback


def test_a_training_that_diverges_in_a_process_ends_alone(monkeypatch, tmp_path: Path):
    def hire(_) -> crew.Worker:
        ours, theirs = Pipe()
        hand = Hand(theirs)
        hand.start()
        return crew.Worker(hand, ours)  # type: ignore[arg-type]

    monkeypatch.setattr(crew, "_hire", hire)
    done: list[Task] = []
    request = tiny(tmp_path, jobs=2)
    crew.conduct_several(Agenda([A, B, OTHER], request), request, finished=lambda task, _: done.append(task))
    assert done == [OTHER]


def test_ctrl_c_is_held_back_while_a_process_starts(monkeypatch, tmp_path: Path):
    masks: list[set[signal.Signals]] = []

    def hire(_):
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        raise RuntimeError

    monkeypatch.setattr(crew, "_hire", hire)
    with pytest.raises(RuntimeError), crew._crew(1, tiny(tmp_path)):
        pass
    assert signal.SIGINT in masks[0]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_ctrl_c_that_came_while_a_process_started_is_forgotten():
    handler = signal.getsignal(signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    crew._drop_ctrl_c()  # a KeyboardInterrupt here would end pytest
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.getsignal(signal.SIGINT) is handler
