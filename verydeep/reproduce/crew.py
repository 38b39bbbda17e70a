"""Several tasks at once, each in a process of one thread: thin networks gain more so than from more threads each.

The processes have a session of their own, so that Ctrl-C reaches only the one that started them; it ends them with
SIGTERM, at which a training saves and a pass is given up. When it dies itself, their pipe ends and so do they.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from time import monotonic

from verydeep.errors import VerydeepError, WorkerError
from verydeep.reproduce import task as tasks
from verydeep.reproduce.progress import Brief
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


def conduct_several(todo: list[Task], request: Request, *, finished: Callable[[Task, float], None]) -> None:
    """Do all tasks, each after the training that it waits for, `request.jobs` at a time.

    Args:
        todo: In the order in which they are begun where nothing has to wait; those that they wait for are among them
            or done.
        request: What is asked for.
        finished: Is told of every task that is done, and its seconds.

    Raises:
        VerydeepError: the first failure of a task; the others have ended, what they trained is saved.
        WorkerError: code REPRODUCE-WORKER; a process died.
    """
    waiting = list(todo)
    with _crew(min(request.jobs, len(todo)), request) as crew:
        while waiting or any(worker.task is not None for worker in crew):
            for worker in crew:
                running = [each.task for each in crew if each.task is not None]
                if worker.task is None and (task := ready(waiting, running)) is not None:
                    worker.task = task
                    waiting.remove(task)
                    worker.pipe.send(task)
            busy = {worker.pipe: worker for worker in crew if worker.task is not None}
            for pipe in connection.wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                answer, done = _answer(worker, request), worker.task
                worker.task = None
                if answer.failure is not None:
                    raise _error(answer.failure)
                assert done is not None
                finished(done, answer.seconds)


def ready(waiting: Sequence[Task], running: Sequence[Task]) -> Task | None:
    """The first task that waits for no other that is waiting or running."""
    unfinished = {*waiting, *running}
    return next((task for task in waiting if tasks.waits_for(task) not in unfinished), None)


@contextmanager
def _crew(size: int, request: Request) -> Iterator[list[Worker]]:
    crew: list[Worker] = []
    try:
        for _ in range(size):
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
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        answer = _do(task, request)
        with suppress(BrokenPipeError):  # nobody listens any more: the training is saved, and the pipe ends next
            pipe.send(answer)


def _do(task: Task, request: Request) -> Answer:
    began, failed = monotonic(), None
    try:
        tasks.conduct(task, request, display=Brief(tasks.name(task, request)))
    except VerydeepError as error:
        failed = Failure(error.message, error.code, error.hint, error.exit_code)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        failed = Failure(f"{type(error).__name__}: {error}", "INTERNAL", "This is a fault of verydeep: report it.", 1)
    return Answer(monotonic() - began, failed)


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
