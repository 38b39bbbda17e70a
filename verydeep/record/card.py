"""The model card of a run, as the Hugging Face hub reads it: what the model is, how good, where its limits lie."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from verydeep.durable import write_atomic
from verydeep.evaluation.metrics import Evaluation, interval, most_confused
from verydeep.record.words import (
    beginning,
    commands,
    data_name,
    duration,
    folder_name,
    machine,
    percent,
    preprocessing_words,
)
from verydeep.report.grid import markdown, markdown_text
from verydeep.report.table import summary
from verydeep.report.words import plural, sizes
from verydeep.run import Run
from verydeep.run_files import CARD, CONFIG, MODEL, REPORT

MOST_NAMED = 20  # classes; of more, the first are named and the rest counted


def write_card(run: Run, *, evaluation: Evaluation, split_name: str) -> Path:
    """Write MODEL_CARD.md into the run's folder, whole or not at all."""
    path = run.path / CARD
    write_atomic(path, card(run, evaluation=evaluation, split_name=split_name).encode(errors="backslashreplace"))
    return path


def card(run: Run, *, evaluation: Evaluation, split_name: str) -> str:
    """The model card as Markdown with YAML front matter.

    Args:
        run: A finished run.
        evaluation: Of the final weights on images that training did not see.
        split_name: What these images are, "test" or "validation".
    """
    data, title = data_name(run.config), markdown_text(f"{run.network.name} on {data_name(run.config)}")
    sections = {
        f"# {title}": _what(run),
        "## Data": _data(run, data=data),
        "## Results": _results(run, evaluation, split_name=split_name),
        "## Limits": _limits(evaluation, split_name=split_name),
        "## How to use it": _use(run),
        "## How it was trained": _training(run),
    }
    body = "\n\n".join(f"{heading}\n\n{text}" for heading, text in sections.items())
    return f"---\n{_front(run, evaluation, data=data, split_name=split_name)}---\n\n{body}\n"


def _front(run: Run, evaluation: Evaluation, *, data: str, split_name: str) -> str:
    """The hub's fields; it shows `model-index` beside the card."""
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": data, "type": data, "split": split_name},
        "metrics": [{"type": "accuracy", "name": "top-1", "value": evaluation.top1}],
    }
    fields = {
        "library_name": "verydeep",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "vgg" if run.network.name.startswith("vgg") else run.network.name],
        "datasets": [data],
        "metrics": ["accuracy"],
        "model-index": [{"name": run.network.name, "results": [result]}],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _what(run: Run) -> str:
    network, costs = run.network, summary(run.network)
    source = f" ({markdown_text(network.source)})" if network.source else ""
    named = ", ".join(markdown_text(name) for name in run.classes[:MOST_NAMED])
    more = f" and {len(run.classes) - MOST_NAMED} more" if len(run.classes) > MOST_NAMED else ""
    return (
        f"An image classifier: `{network.name}`{source}, {plural(costs.depth, 'weight layer')}, "
        f"{costs.params:,} parameters, {costs.macs:,} MACs for one image of {sizes(network.input)}. "
        f"It tells {plural(len(run.classes), 'class')} apart: {named}{more}."
    )


def _data(run: Run, *, data: str) -> str:
    images = run.result.get("train_images")
    count = f"{images:,} images of " if images else ""
    how = preprocessing_words(run.preprocessing)
    return f"Trained on {count}{markdown_text(data)}. {how} `{MODEL}` holds these numbers."


def _results(run: Run, evaluation: Evaluation, *, split_name: str) -> str:
    low, high = interval(evaluation.top1, count=evaluation.count)
    rows = [
        ("top-1 accuracy", f"{percent(evaluation.top1, digits=2)} (95 % interval {percent(low)} to {percent(high)})"),
        ("mean recall of the classes (macro)", percent(evaluation.macro_recall, digits=2)),
        ("cross-entropy", f"{evaluation.loss:.4f} nats"),
        ("expected calibration error, 15 bins", percent(evaluation.ece, digits=2)),
    ]
    if len(evaluation.per_class) > 5:
        rows.insert(1, ("top-5 accuracy", percent(evaluation.top5, digits=2)))
    table = markdown(("metric", "value"), rows, align=("left", "right"))
    steered = split_name == "validation" and (run.config.patience or run.config.schedule == "plateau")
    unseen = "held out from training, which they steered" if steered else "that training did not see"
    return f"On {evaluation.count:,} {split_name} images {unseen}:\n\n{table}"


def _limits(evaluation: Evaluation, *, split_name: str) -> str:
    return "\n".join(f"- {line}" for line in _limit_lines(evaluation, split_name=split_name))


def _limit_lines(evaluation: Evaluation, *, split_name: str) -> Iterator[str]:
    yield 'Every image is given one of the classes above, whatever it shows: there is no answer "none of these".'
    yield f"The numbers hold for images like those of the {split_name} split; others were not tried."
    known = [entry for entry in evaluation.per_class if entry.recall is not None]
    weakest = min(known, key=lambda entry: entry.recall or 0.0)
    yield (
        f'It finds "{markdown_text(weakest.name)}" least well: '
        f"{percent(weakest.recall)} of {plural(weakest.support, 'image')}."
    )
    for pair in most_confused(evaluation, 3):
        truth, predicted = markdown_text(pair.truth), markdown_text(pair.predicted)
        share = f"{plural(pair.count, 'image')} of it, {percent(pair.share)}"
        yield f'"{truth}" is taken for "{predicted}" in {share}.'
    absent = [markdown_text(entry.name) for entry in evaluation.per_class if not entry.support]
    if absent:
        more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
        yield f"Without {split_name} images, and so untried: {', '.join(absent[:MOST_NAMED])}{more}."


def _use(run: Run) -> str:
    typed = "\n".join(command for _, command in commands(run)[1:])
    return f"""```python
import verydeep as vd

for prediction in vd.predict({folder_name(run)!r}, ["image.png"]):
    print(prediction.path, prediction.classes[:1], prediction.confidences[:1])
```

```sh
{typed}
```"""


def _training(run: Run) -> str:
    again = commands(run)[0][1]
    facts = "\n".join(f"- {name}: {markdown_text(text)}" for name, text in machine(run))
    began = beginning(run.config)
    return (
        f"Recipe `{run.config.recipe}`, seed {run.config.seed}, {plural(len(run.history), 'epoch')}, "
        f"{duration(run.result['seconds'])} of training. {f'{began} ' if began else ''}`{CONFIG}` has "
        f"every setting, `{REPORT}` the curves and the mistakes. Again:\n\n```sh\n{again}\n```\n\n{facts}"
    )
