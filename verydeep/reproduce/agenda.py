"""What is still to be begun: nothing before what it waits for, and without what waits for a training that diverged."""

from collections.abc import Sequence

from verydeep.errors import NumericalError, VerydeepError
from verydeep.report.words import plural
from verydeep.reproduce import task as tasks
from verydeep.reproduce.request import Request
from verydeep.reproduce.task import Task


class Agenda:
    """The tasks that wait, in the order in which they are begun where nothing has to wait for another."""

    def __init__(self, todo: Sequence[Task], request: Request) -> None:
        self.waiting = list(todo)
        self._request = request
        self._failed: list[str] = []
        self._given_up = 0

    def next(self, running: Sequence[Task] = ()) -> Task | None:
        """The next task, which waits no longer; None where all that is left waits for one that is running."""
        task = ready(self.waiting, running)
        if task is not None:
            self.waiting.remove(task)
        return task

    def fail(self, task: Task, error: VerydeepError) -> str:
        """Go on without a task whose numbers are not finite and all that needs it; the line that says so.

        Raises:
            VerydeepError: `error` itself, where it says something else, which other tasks would meet too.
        """
        if error.exit_code != NumericalError.exit_code:
            raise error
        line = f"{tasks.name(task, self._request)}: {error.message.rstrip('.')}"
        self._failed.append(line)
        lost = {task}
        for other in tuple(self.waiting):  # each comes after what it waits for
            if tasks.waits_for(other) in lost:
                lost.add(other)
                self.waiting.remove(other)
        self._given_up += len(lost) - 1
        return line

    def refuse_failed(self) -> None:
        """NumericalError, code REPRODUCE-DIVERGED, where a task has failed: all others are done."""
        if self._failed:
            needed = f"; {plural(self._given_up, 'task')} that needed it or them left out" if self._given_up else ""
            raise NumericalError(
                f"{'; '.join(self._failed)}{needed}; all others are done",
                code="REPRODUCE-DIVERGED",
                hint="Take fewer --seeds, or a recipe with a lower rate; what is done stays.",
            )


def ready(waiting: Sequence[Task], running: Sequence[Task]) -> Task | None:
    """The first task that waits for no other that is waiting or running."""
    unfinished = {*waiting, *running}
    return next((task for task in waiting if tasks.waits_for(task) not in unfinished), None)
