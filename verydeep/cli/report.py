"""`verydeep report`: write a run's report again."""

from pathlib import Path

from verydeep.cli.options import DataRoot, Device


def run(
    run: Path,
    /,
    *,
    data_root: DataRoot = None,
    device: Device = "auto",
) -> None:
    """Write a run's report again: curves, confusion matrix, worst mistakes, per class, network, environment.

    Args:
        run: The folder that `verydeep train` wrote.
    """
    from verydeep.evaluation.evaluate import logits, unseen
    from verydeep.processes import speaks
    from verydeep.record.publish import publish
    from verydeep.run import open_run
    from verydeep.run_files import REPORT

    opened = open_run(run)
    images, split_name = unseen(opened, data_root=data_root)
    scores = logits(opened, images, device=device)
    if speaks():
        publish(run, images, scores.array, split_name=split_name, engine=scores.engine)
        print(run / REPORT)
