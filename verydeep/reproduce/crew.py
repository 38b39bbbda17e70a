"""Several tasks at once, each in a process of one thread: thin networks gain more so than from more threads each.

The processes have a session of their own, so that Ctrl-C reaches only the one that started them; it ends them with
SIGTERM, at which a training saves and a pass is given up. When it dies itself, their pipe ends and so do they.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from time import monotonic

from verydeep.errors import VerydeepError, WorkerError
from verydeep.exhausted import exhausted
from verydeep.reproduce import task as tasks
from verydeep.reproduce.agenda import Agenda
from verydeep.reproduce.progress import Brief, say
from verydeep.reproduce.request import Request
from verydeep.reproduce.task import Task

THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it crosses a pipe."""

    message: str
    code: str
    hint: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Answer:
    """How a task went."""

    seconds: float
    failure: Failure | None


@dataclass(eq=False, slots=True)
class Worker:
    """A process that waits for tasks."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None


def conduct_several(agenda: Agenda, request: Request, *, finished: Callable[[Task, float], None]) -> None:
    """Do all tasks, each after the training that it waits for, `request.jobs` at a time.

    Args:
        agenda: What is to be done; tasks whose numbers are not finite are noted there.
        request: What is asked for.
        finished: Is told of every task that is done, and its seconds.

    Raises:
        VerydeepError: the first other failure of a task; the others have ended, what they trained is saved.
        WorkerError: code REPRODUCE-WORKER; a process died.
    """
    with _crew(min(request.jobs, len(agenda.waiting)), request) as crew:
        while agenda.waiting or any(worker.task is not None for worker in crew):
            for worker in crew:
                running = [each.task for each in crew if each.task is not None]
                if worker.task is None and (task := agenda.next(running)) is not None:
                    worker.task = task
                    worker.pipe.send(task)
            busy = {worker.pipe: worker for worker in crew if worker.task is not None}
            for pipe in connection.wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                answer, done = _answer(worker, request), worker.task
                worker.task = None
                assert done is not None
                if answer.failure is None:
                    finished(done, answer.seconds)
                else:
                    say(f"warning: {agenda.fail(done, _error(answer.failure))}")


@contextmanager
def _crew(size: int, request: Request) -> Iterator[list[Worker]]:
    crew: list[Worker] = []
    try:
        for _ in range(size):
            with _ctrl_c_waits():
                crew.append(_hire(request))
        yield crew
    except BaseException:
        for worker in crew:
            worker.process.terminate()
        raise
    finally:
        for worker in crew:
            worker.pipe.close()
        for worker in crew:
            worker.process.join()


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Hold Ctrl-C back: a process that is started has this from its parent, and is not yet in a session of its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hire(request: Request) -> Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, request))
    is_ours = THREADS not in os.environ
    os.environ.setdefault(THREADS, "1")  # read by the libraries of the new process as they are loaded
    try:
        process.start()
    finally:
        if is_ours:
            del os.environ[THREADS]
    theirs.close()
    return Worker(process, ours)


def _serve(pipe: Connection, request: Request) -> None:
    os.setsid()
    _drop_ctrl_c()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        answer = _do(task, request)
        with suppress(BrokenPipeError):  # nobody listens any more: the training is saved, and the pipe ends next
            pipe.send(answer)


def _drop_ctrl_c() -> None:
    """Forget a Ctrl-C that came while this process started: it was meant for the one that started it."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, handler)


def _do(task: Task, request: Request) -> Answer:
    began, failed = monotonic(), None
    try:
        tasks.conduct(task, request, display=Brief(tasks.name(task, request)))
    except Exception as error:
        failed = _failure(error)
    return Answer(monotonic() - began, failed)


def _failure(error: Exception) -> Failure:
    if (lack := exhausted(error)) is not None:
        hint = "Give fewer --jobs; the same command goes on." if lack.code == "MEMORY" else lack.hint
        return Failure(lack.message, lack.code, hint, lack.exit_code)
    if isinstance(error, VerydeepError):
        return Failure(error.message, error.code, error.hint, error.exit_code)
    traceback.print_exception(error, file=sys.stderr)
    return Failure(f"{type(error).__name__}: {error}", "INTERNAL", "This is a fault of verydeep: report it.", 1)


def _answer(worker: Worker, request: Request) -> Answer:
    try:
        return worker.pipe.recv()
    except EOFError:
        worker.process.join()
        task = "" if worker.task is None else tasks.name(worker.task, request)
        raise WorkerError(
            f"the process that computed {task} died (exit code {worker.process.exitcode})",
            code="REPRODUCE-WORKER",
            hint="Often memory ran out: give --jobs 1. The same command goes on.",
        ) from None


def _error(failure: Failure) -> VerydeepError:
    error = VerydeepError(failure.message, code=failure.code, hint=failure.hint)
    error.exit_code = failure.exit_code
    return error
