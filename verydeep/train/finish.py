"""What a finished run leaves behind: the model, its accuracy on images never seen, the report and the model card."""

import json
from pathlib import Path
from typing import Any

from verydeep.backends import pytorch
from verydeep.data.split import Split
from verydeep.durable import write_atomic
from verydeep.errors import DataError
from verydeep.evaluate.metrics import Evaluation, measure
from verydeep.evaluate.scores import scores
from verydeep.record import folder as files
from verydeep.record.card import write_card
from verydeep.record.folder import open_run
from verydeep.record.gallery import worst
from verydeep.record.page import write_report
from verydeep.record.rows import training_seconds
from verydeep.report.table import summary
from verydeep.train.display import Display
from verydeep.train.prepare import Prepared, test_split
from verydeep.train.progress import Progress
from verydeep.train.trainee import Trainee
from verydeep.weights import canonical


def finish(folder: Path, learner: Trainee, progress: Progress, prepared: Prepared, *, display: Display) -> None:
    """Evaluate the final weights once on the test images and write the run's files; repeating it changes nothing."""
    config, processes = prepared.config, prepared.processes
    weights = learner.final()
    model = pytorch.build(prepared.network, weights, layout=config.layout).to(processes.device)
    split, name = _unseen(prepared)
    evaluation, logits = None, None
    if split is not None:
        logits = scores(model, split, preprocessing=prepared.preprocessing, processes=processes, workers=config.workers)
        evaluation = measure(logits, split.labels, classes=split.classes)
    if not processes.is_first:
        return
    canonical.save(
        folder / files.MODEL,
        network=prepared.network,
        weights=weights,
        preprocessing=prepared.preprocessing.to_json(),
        classes=prepared.train.classes,
        extra={"recipe": config.recipe, "seed": config.seed, "epochs": progress.epoch},
    )
    result = _result(folder, progress, prepared, evaluation, name)
    write_atomic(folder / files.RESULT, (json.dumps(result, indent=2) + "\n").encode())
    run = open_run(folder)
    if evaluation is not None and split is not None and logits is not None:
        mistakes = worst(split, logits)
        write_report(run, evaluation=evaluation, mistakes=mistakes, split_name=name)
        write_card(run, evaluation=evaluation, split_name=name)
    display.end()
    display.note(_conclusion(result, evaluation, name, folder))


def _unseen(prepared: Prepared) -> tuple[Split | None, str]:
    """The test images; where a data set has none, those held out for validation."""
    try:
        return test_split(prepared.config, classes=prepared.train.classes), "test"
    except DataError as error:
        if error.code != "DATA-NO-TEST":
            raise
        return prepared.val, "validation"


def _result(
    folder: Path,
    progress: Progress,
    prepared: Prepared,
    evaluation: Evaluation | None,
    split_name: str,
) -> dict[str, Any]:
    config = prepared.config
    costs = summary(prepared.network)
    return {
        "data": config.data,
        "network": prepared.network.name,
        "params": costs.params,
        "macs": costs.macs,
        "recipe": config.recipe,
        "seed": config.seed,
        "epochs": progress.epoch,
        "steps": progress.step,
        "train_images": len(prepared.train),
        "seconds": round(training_seconds(folder), 1),
        "split": split_name,
        "evaluation": None if evaluation is None else evaluation.to_json(),
    }


def _conclusion(result: dict[str, Any], evaluation: Evaluation | None, split_name: str, folder: Path) -> str:
    if evaluation is None:
        return f"done in {result['seconds']} s of training; {folder / files.MODEL} holds the network"
    return (
        f"{split_name} top-1 {evaluation.top1:.4f} on {evaluation.count:,} images, "
        f"after {result['seconds']} s of training; look at {folder / files.REPORT}"
    )
