"""What a reproduction would compute, before anything is: each run and each pass, whether it is done, what it costs."""

from collections.abc import Sequence

from verydeep.benchmark.sections import NONE, Section, to_text
from verydeep.record.words import amount
from verydeep.report.words import bytes_text, plural
from verydeep.reproduce import cost, training_task
from verydeep.reproduce import task as tasks
from verydeep.reproduce.experiments import AnyTraining, Wanted
from verydeep.reproduce.request import Request
from verydeep.reproduce.task import Task

RUN_HEADER = ("run", "network", "begins with", "recipe", "done", "MACs")
PASS_HEADER = ("pass", "done", "images", "MACs")


def plan(name: str, every: Sequence[Task], request: Request) -> str:
    """The plan of a table as text; no data is needed. ConfigError where a folder holds another run."""
    done = {task: tasks.is_done(task, request) for task in every}
    costs = {task: cost.macs(task, request) for task in every}
    runs = [task for task in every if not isinstance(task, Wanted)]
    passes = [task for task in every if isinstance(task, Wanted)]
    sections = (
        Section("Runs.", RUN_HEADER, 5, [_run(task, request, done=done[task], macs=costs[task]) for task in runs]),
        Section(
            "Passes.", PASS_HEADER, 2, [_pass(task, request, done=done[task], macs=costs[task]) for task in passes]
        ),
    )
    left = [task for task in every if not done[task]]
    text = to_text([one for one in sections if one.cells], _totals(left, request, every=every))
    return f"{name}, scale {request.scale.name}, {plural(request.seeds, 'seed')}\n\n{text}\n"


def _run(training: AnyTraining, request: Request, *, done: bool, macs: int) -> tuple[str, ...]:
    before = training.before()
    return (
        training.name(request.scale),
        training_task.settings(training, request).net or NONE,
        NONE if before is None else before.name(request.scale),
        training_task.settings(training, request).recipe,
        "yes" if done else "no",
        amount(macs),
    )


def _pass(wanted: Wanted, request: Request, *, done: bool, macs: int) -> tuple[str, ...]:
    images = "all" if wanted.images is None else f"{wanted.images:,}"
    return wanted.one.name(request.scale), "yes" if done else "no", images, amount(macs)


def _totals(left: Sequence[Task], request: Request, *, every: Sequence[Task]) -> list[str]:
    macs = sum(cost.macs(task, request) for task in left)
    disk = sum(cost.bytes_to_write(task, request) for task in left)
    return [
        f"{len(left)} of {len(every)} to do: about {amount(macs)} MACs, {bytes_text(disk)} on disk",
        "MACs of a run: three times those of a forward pass, for all images of all epochs that its recipe allows; of a "
        "pass: photographs counted as squares",
    ]
