"""What is written about a trained network once it has been evaluated: result, report page and model card, in step."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from verydeep.data.split import Split
from verydeep.durable import write_atomic
from verydeep.evaluation.metrics import Evaluation, measure
from verydeep.evaluation.protocol import protocol_for
from verydeep.record.card import write_card
from verydeep.record.gallery import worst
from verydeep.record.page import write_report
from verydeep.run import open_run, read_record
from verydeep.run_files import RESULT


def publish(folder: Path, split: Split, logits: npt.NDArray[np.float32], *, split_name: str, engine: str) -> Evaluation:
    """Measure the logits of `split` and write result.json, report.html with its figures, and MODEL_CARD.md.

    Args:
        folder: A run with a trained model.
        split: Images with labels that are indices into the run's classes.
        logits: (n, classes), the network's scores for them.
        split_name: "test" or "validation".
        engine: What computed the logits.
    """
    run = open_run(folder)
    evaluation = replace(
        measure(logits, split.labels, classes=split.classes), engine=engine, scales=protocol_for(run).scales
    )
    result = {**read_record(folder / RESULT), "split": split_name, "evaluation": evaluation.to_json()}
    write_atomic(folder / RESULT, (json.dumps(result, indent=2) + "\n").encode())
    run = replace(run, result=result)
    write_report(run, evaluation=evaluation, mistakes=worst(split, logits), split_name=split_name)
    write_card(run, evaluation=evaluation, split_name=split_name)
    return evaluation
