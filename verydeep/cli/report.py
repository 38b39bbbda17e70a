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
    from verydeep.evaluate.center import logits, unseen
    from verydeep.evaluate.metrics import measure
    from verydeep.record.folder import open_run
    from verydeep.record.gallery import worst
    from verydeep.record.page import write_report

    opened = open_run(run)
    images, split_name = unseen(opened, data_root=data_root)
    scores = logits(opened, images, device=device)
    evaluation = measure(scores, images.labels, classes=images.classes)
    print(write_report(opened, evaluation=evaluation, mistakes=worst(images, scores), split_name=split_name))
