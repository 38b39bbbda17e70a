"""Opening what a model lies in: a run folder, a folder that was pulled, or a model's file alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from tests.training.tiny import trained
from verydeep.cli.described import AS_IT_IS, described
from verydeep.errors import ConfigError, WeightsError
from verydeep.evaluation.evaluate import evaluate
from verydeep.evaluation.predict import predict
from verydeep.run import Run, open_run
from verydeep.training.session import resume
from verydeep.weights import canonical


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return trained(tmp_path_factory.mktemp("runs") / "run", epochs=1)


@pytest.fixture(params=["file", "folder", "pulled"])
def alone(request, run: Run, tmp_path: Path) -> Path:
    """The run's model without its run: a file, the only file of a folder, and beside settings from elsewhere."""
    folder = tmp_path / "alone"
    folder.mkdir()
    shutil.copy(run.path / "model.safetensors", folder)
    if request.param == "pulled":
        for name in ("config.yaml", "result.json", "MODEL_CARD.md"):
            shutil.copy(run.path / name, folder)
    return folder / "model.safetensors" if request.param == "file" else folder


def saved(run: Run, path: Path, **changes) -> Path:
    """The run's model in a file that lacks something."""
    record = {"preprocessing": run.preprocessing.to_json(), "classes": run.classes} | changes
    canonical.save(path, network=run.network, weights=run.weights, **record)
    return path


def digit(folder: Path) -> Path:
    """An image file."""
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / "digit.png")
    return folder / "digit.png"


def test_a_model_alone_has_the_weights_and_all_that_its_file_holds(run, alone):
    found = open_run(alone)
    assert (found.path, found.settings, found.history, found.result) == (alone, None, (), {})
    assert (found.network, found.preprocessing, found.classes) == (run.network, run.preprocessing, run.classes)
    assert all(np.array_equal(found.weights[name], array) for name, array in run.weights.items())
    assert described(str(alone), AS_IT_IS) == run.network


def test_a_model_alone_is_evaluated_on_data_that_are_named_and_predicts(run, alone, tmp_path):
    assert evaluate(alone, "digits").to_json() == run.result["evaluation"]
    assert predict(open_run(alone), [digit(tmp_path)]) == predict(run, [digit(tmp_path)])


def test_what_only_a_training_knows_is_refused_of_a_model_alone(alone):
    for ask in (
        lambda: evaluate(alone),
        lambda: evaluate(alone, "digits", split="validation"),
        lambda: open_run(alone).config,
    ):
        with pytest.raises(ConfigError, match="is a model without its training run") as refused:
            ask()
        assert refused.value.code == "RUN-NONE"
    with pytest.raises(ConfigError, match=r"is no run: it has no (config\.yaml|network\.json)\. Begin one"):
        resume(alone, {})


def test_settings_that_came_with_a_model_decide_nothing(run, tmp_path):
    for name in ("model.safetensors", "config.yaml"):
        shutil.copy(run.path / name, tmp_path)
    (tmp_path / "config.yaml").write_text("data: /etc\nworkers: 99\n")
    assert evaluate(tmp_path, "digits").to_json() == run.result["evaluation"]


def test_a_model_without_class_names_or_preprocessing_is_told_what_to_do(run, tmp_path):
    nameless = saved(run, tmp_path / "no names.safetensors", classes=())
    for ask in (lambda: evaluate(nameless, "digits"), lambda: predict(open_run(nameless), [digit(tmp_path)])):
        with pytest.raises(WeightsError, match=r"has no class names\. Give them: verydeep import '.*' --classes FILE"):
            ask()
    unknown = saved(run, tmp_path / "raw.safetensors", preprocessing=None)
    with pytest.raises(WeightsError, match=r"does not say how images become its input\. .* verydeep import") as refused:
        open_run(unknown)
    assert refused.value.code == "WEIGHTS-NO-PREPROCESSING"


def test_weights_that_are_no_model_of_ours_are_sent_to_import(tmp_path):
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "other.pth").write_bytes(b"PK\x03\x04" + bytes(100))
    for name in ("other.safetensors", "other.pth"):
        with pytest.raises(WeightsError, match=rf"become a model's file with: verydeep import .*{name}"):
            open_run(tmp_path / name)


def test_a_folder_without_a_model_is_no_run(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match=r"is no run: it has no config\.yaml"):
            open_run(place)
