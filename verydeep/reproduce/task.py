"""A piece of work of a reproduction, a training or a pass: what it waits for, what it costs, how it is done."""

from collections.abc import Callable, Iterable

from verydeep.reproduce import pass_task, training_task
from verydeep.reproduce.declared import Experiment
from verydeep.reproduce.experiments import AnyTraining, Wanted, trainings, wanted
from verydeep.reproduce.request import Request
from verydeep.training.display import Display

Task = AnyTraining | Wanted


def of_tests(tests: Iterable[tuple[Experiment, int | None]], request: Request) -> list[Task]:
    """Seed by seed, so that an early end leaves whole seeds: its trainings, then its passes."""
    pairs, found = list(tests), list[Task]()
    for seed in range(request.seeds):
        passes = wanted(pairs, seed=seed, scale=request.scale)
        found.extend([*trainings(one.one.training for one in passes), *passes])
    return found


def of_trainings(needed: Callable[[int], Iterable[AnyTraining]], request: Request) -> list[Task]:
    """The trainings that are needed of a seed, and those that they begin with, seed by seed."""
    return [training for seed in range(request.seeds) for training in trainings(needed(seed))]


def name(task: Task, request: Request) -> str:
    """What it is called in lines and tables."""
    return task.one.name(request.scale) if isinstance(task, Wanted) else task.name(request.scale)


def waits_for(task: Task) -> AnyTraining | None:
    """The training that must be done before."""
    return task.one.training if isinstance(task, Wanted) else task.before()


def is_done(task: Task, request: Request) -> bool:
    """Whether nothing is left to do; ConfigError where its folder holds another run."""
    if isinstance(task, Wanted):
        return is_done(task.one.training, request) and pass_task.is_done(task, request)
    return training_task.state(task, request) == "done"


def conduct(task: Task, request: Request, *, display: Display) -> None:
    """Do it; what it waits for is done."""
    if isinstance(task, Wanted):
        pass_task.conduct(task, request)
    else:
        training_task.conduct(task, request, display=display)


def verb(task: Task) -> str:
    """What has been done when it is done."""
    return "tested" if isinstance(task, Wanted) else "trained"
