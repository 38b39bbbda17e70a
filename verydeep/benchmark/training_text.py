"""Training steps as one table."""

from collections.abc import Iterator

from verydeep.benchmark.sections import NONE, Section, conditions, number, reason, status
from verydeep.benchmark.training import STANDARD, STEPS, TrainingBench, TrainingRow
from verydeep.report.words import plural

HEADER = ("recipe", "loop", "network", "precision", "batch", "ms a step", "min", "images/s", "ratio", "loss", "peak MB")


def sections(bench: TrainingBench) -> Iterator[Section]:
    """The one table."""
    failed = [reason(f"{row.recipe}: {row.engine}", row.failed) for row in bench.rows if row.failed]
    title = f"training, {plural(bench.around.threads, 'thread')}"
    yield Section(title, HEADER, 4, [_cells(row) for row in bench.rows], failed)


def notes(bench: TrainingBench) -> list[str]:
    """What the columns mean, and the conditions."""
    ours = [(row.ratio, row.recipe) for row in bench.rows if row.engine == "verydeep" and row.ratio is not None]
    least = [f"the least ratio of ours is {min(ours)[0]:.2f}x, with recipe {min(ours)[1]}"] if ours else []
    return [
        *least,
        *conditions(bench.around),
        f"ratio: how many times as fast as {STANDARD}, plain PyTorch; medians of {plural(bench.around.calls, 'call')} "
        f"of {STEPS} steps, in turn",
        "verydeep is the whole loop with the recipe's augmentation; the others normalise, take the step and do no more",
        "loss: mean of the last warm-up call in nats, on noise",
    ]


def _cells(row: TrainingRow) -> list[str]:
    return [
        row.recipe,
        row.engine,
        f"{row.network} {row.height}x{row.width}",
        row.precision,
        str(row.batch),
        status(row.failed) if row.failed else number(row.median_ms, digits=2),
        number(row.min_ms, digits=2),
        number(row.images_per_second, digits=0),
        number(row.ratio, digits=2, unit="x"),
        NONE if row.loss is None else f"{row.loss:.3f}",
        number(row.peak_mb, digits=0),
    ]
