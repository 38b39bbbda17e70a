"""What a finished run leaves behind: the model, its accuracy on images never seen, the report and the model card."""

import json
from pathlib import Path
from typing import Any

from verydeep import run_files as files
from verydeep.durable import write_atomic
from verydeep.engine.choose import choose, ready
from verydeep.evaluation.scores import scores_of
from verydeep.record.publish import publish
from verydeep.report.table import summary
from verydeep.training.display import Display
from verydeep.training.prepare import Prepared, at_once
from verydeep.training.progress import Progress
from verydeep.training.trainee import Trainee
from verydeep.weights import canonical


def finish(folder: Path, learner: Trainee, progress: Progress, prepared: Prepared, *, display: Display) -> None:
    """Write the model, evaluate it once on the test images and publish; repeating it changes nothing.

    Where the data set has no test images, those held out for validation take their place.
    """
    config, processes = prepared.config, prepared.processes
    weights = learner.final()
    result = _result(progress, prepared)

    def write_model() -> None:
        canonical.save(
            folder / files.MODEL,
            network=prepared.network,
            weights=weights,
            preprocessing=prepared.preprocessing.to_json(),
            classes=prepared.train.classes,
            extra={"recipe": config.recipe, "seed": config.seed, "epochs": progress.epoch},
        )
        write_atomic(folder / files.RESULT, (json.dumps(result, indent=2) + "\n").encode())

    processes.on_first(write_model)
    display.end()
    split, split_name = (prepared.test, "test") if prepared.test is not None else (prepared.val, "validation")
    if split is None:
        display.note(f"no image was kept to test on; {folder / files.MODEL} holds the network")
        return
    choice = choose(device=processes.device)
    logits = scores_of(
        ready(choice, prepared.network, weights, device=processes.device, layout=config.layout),
        split,
        classes=prepared.network.classes,
        preprocessing=prepared.preprocessing,
        processes=processes,
        batch=at_once(config, processes),
        workers=config.workers,
    )
    found = processes.on_first(lambda: publish(folder, split, logits, split_name=split_name, engine=choice.name))
    display.note(
        f"{split_name} top-1 {found.top1:.4f} on {found.count:,} images, after {result['seconds']} s of training; "
        f"look at {folder / files.REPORT}"
    )


def _result(progress: Progress, prepared: Prepared) -> dict[str, Any]:
    config, costs = prepared.config, summary(prepared.network)
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
        "seconds": round(sum(float(row["seconds"]) for row in progress.timings), 1),
        "split": None,
        "evaluation": None,
    }
