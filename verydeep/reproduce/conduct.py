"""All that a table needs, computed: what is done stays, what was interrupted goes on, Ctrl-C loses nothing."""

from collections.abc import Callable, Sequence
from time import monotonic

from verydeep.durable import disk_full, free_bytes
from verydeep.errors import NumericalError
from verydeep.reproduce import cost
from verydeep.reproduce import task as tasks
from verydeep.reproduce.agenda import Agenda
from verydeep.reproduce.crew import conduct_several
from verydeep.reproduce.experiments import Wanted
from verydeep.reproduce.progress import Brief, Ledger, say
from verydeep.reproduce.request import Request
from verydeep.reproduce.task import Task
from verydeep.training.signals import Interrupted, stopping


def left(todo: Sequence[Task], request: Request) -> list[Task]:
    """The tasks that are not done yet; ConfigError where a folder holds another run."""
    return [task for task in todo if not tasks.is_done(task, request)]


def compute(every: Sequence[Task], request: Request) -> None:
    """Do everything that is not done yet, in this order or several at once, with a line on standard error for each.

    Raises:
        ResourceError: code DISK-FULL; there is not enough space for all of it.
        NumericalError: code REPRODUCE-DIVERGED; a training diverged, and all that does not need it is done.
        VerydeepError: whatever else a training or a pass fails with; all that was done before is kept.
        Interrupted: a signal came; all that was done before is kept, a training goes on where it was.
    """
    todo = left(every, request)
    if not todo:
        return
    _refuse_full_disk(todo, request)
    costs = {task: cost.macs(task, request) for task in todo}
    ledger = Ledger(costs, request)
    count = len(every) - len(todo)
    say(f"{len(todo)} of {len(every)} to do{f', {count} done already' if count else ''}; {request.out}")
    try:
        with stopping() as stop:
            stop.hint = "The same command goes on."
            agenda = Agenda(todo, request)
            _work(agenda, request, finished=lambda task, seconds: say(ledger.done(task, seconds=seconds)))
    except Interrupted as error:
        error.hint = "All is saved: the same command goes on."
        raise
    agenda.refuse_failed()


def _work(agenda: Agenda, request: Request, *, finished: Callable[[Task, float], None]) -> None:
    if request.jobs > 1:
        conduct_several(agenda, request, finished=finished)
        return
    while (task := agenda.next()) is not None:
        began = monotonic()
        try:
            tasks.conduct(task, request, display=Brief(tasks.name(task, request)))
        except NumericalError as error:
            say(f"warning: {agenda.fail(task, error)}")
            continue
        finished(task, monotonic() - began)


def _refuse_full_disk(todo: Sequence[Task], request: Request) -> None:
    needed = sum(cost.bytes_to_write(task, request) for task in todo)
    if free_bytes(request.out) < needed:
        runs = sum(not isinstance(task, Wanted) for task in todo)
        raise disk_full(request.out, bytes_needed=needed, cause=f" for {runs} runs and {len(todo) - runs} passes")
