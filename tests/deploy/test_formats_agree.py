"""NUM-08: what is exported computes what the PyTorch model computes, in engines that know nothing of us."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
import onnx
import onnxruntime
import openvino
from onnx.reference import ReferenceEvaluator

from tests.deploy.bundles import SHARE, Array, apart, photographed
from verydeep.backends import onnx_graph
from verydeep.data.split import FileSplit, MemorySplit
from verydeep.deploy.bundle import Bundle, for_pixels, of_any_size, of_run
from verydeep.deploy.formats import FORMATS, Size, format_of, writer
from verydeep.deploy.images import spread
from verydeep.deploy.verify import model_of
from verydeep.run import Run

Engine = Callable[[Path, Array], Array]


def by_onnxruntime(path: Path, images: Array) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(["logits"], {"images": images})[0]


def by_the_evaluator_of_onnx(path: Path, images: Array) -> Any:
    return ReferenceEvaluator(str(path)).run(["logits"], {"images": images})[0]


def by_openvino(path: Path, images: Array) -> Any:
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return model(images)["logits"]


ENGINES: dict[str, tuple[str, Engine]] = {
    "onnxruntime": ("onnx", by_onnxruntime),
    "the evaluator of onnx": ("onnx", by_the_evaluator_of_onnx),
    "openvino": ("openvino", by_openvino),
}


def written(bundle: Bundle, to: str, folder: Path, *, size: Size = "fixed") -> Path:
    path = folder / f"model{FORMATS[to].suffix}"
    writer(format_of(to)).write(for_pixels(bundle), path, size=size)
    return path


@pytest.mark.parametrize("engine", ENGINES)
def test_a_thousand_digits_get_the_classes_that_the_model_gives(
    engine: str, run: Run, figures: MemorySplit, tmp_path: Path
):
    to, compute = ENGINES[engine]
    path, pixels = written(of_run(run), to, tmp_path), figures.images[:1000]
    expected, found = model_of(of_run(run))(pixels), compute(path, pixels.astype(np.float32))
    assert apart(found, expected) <= SHARE
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert len(set(found.argmax(1))) == 10  # a network that always says the same would agree too


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("side", [32, 224])
def test_photographs_of_two_sizes_in_three_batches(engine: str, side: int, photographs: FileSplit, tmp_path: Path):
    to, compute = ENGINES[engine]
    bundle = photographed(side)
    path, model = written(bundle, to, tmp_path), model_of(bundle)
    pixels = spread(photographs, 10, preprocessing=bundle.preprocessing).pixels
    for batch in np.split(pixels, (1, 3)):
        expected, found = model(batch), compute(path, batch.astype(np.float32))
        assert apart(found, expected) <= SHARE
        assert np.array_equal(found.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_free_form_scores_photographs_of_any_size(engine: str, photographs: FileSplit, tmp_path: Path):
    to, compute = ENGINES[engine]
    fixed = photographed(32)
    bundle = of_any_size(fixed)
    path, model = written(bundle, to, tmp_path, size="free"), model_of(bundle)
    pixels = spread(photographs, 3, preprocessing=photographed(224).preprocessing).pixels
    for height, width in ((32, 32), (224, 224), (70, 100)):
        cut = np.ascontiguousarray(pixels[:, :, :height, :width])
        expected, found = model(cut), compute(path, cut.astype(np.float32))
        assert apart(found, expected) <= SHARE
        assert np.array_equal(found.argmax(1), expected.argmax(1))
        if (height, width) == (32, 32):
            assert apart(found[:, :, 0, 0], model_of(fixed)(cut)) <= SHARE


@pytest.mark.parametrize("engine", ENGINES)
def test_colours_mean_and_deviation_are_inside(engine: str, photographs: FileSplit, tmp_path: Path):
    """Each left out in turn is far from what the file computes."""
    to, compute = ENGINES[engine]
    bundle = photographed(32)
    record, path = bundle.preprocessing, written(bundle, to, tmp_path)
    pixels = spread(photographs, 7, preprocessing=record).pixels
    found = compute(path, pixels.astype(np.float32))
    assert apart(found, model_of(bundle)(pixels)) <= SHARE
    for wrong in ({"color": "RGB"}, {"mean": (0.0, 0.0, 0.0)}, {"std": (1.0, 1.0, 1.0)}, {"mean": record.mean[::-1]}):
        other = model_of(replace(bundle, preprocessing=replace(record, **wrong)))(pixels)
        assert apart(found, other) > 100 * SHARE, wrong


def texts_of(path: Path) -> dict[str, str]:
    if path.suffix == ".onnx":
        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    model: Any = openvino.Core().read_model(path)
    return {key: model.get_rt_info(key).astype(str) for key in ("verydeep", "classes", "preprocessing")}


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_class_names_and_what_is_left_of_the_preprocessing_are_in_the_file(to: str, tmp_path: Path):
    bundle = photographed(32)
    names = ("Katze", "naïve 猫", 'a "quoted" <b>', *bundle.classes[3:])
    path = written(Bundle(bundle.network, bundle.weights, bundle.preprocessing, names), to, tmp_path)
    texts = texts_of(path)
    assert tuple(json.loads(texts["classes"])) == names
    assert json.loads(texts["preprocessing"]) == {
        **bundle.preprocessing.to_json(),
        "color": "RGB",
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
    }
    assert json.loads(texts["verydeep"])["blocks"][0]["name"] == "normalize"


def test_the_exported_onnx_file_is_still_one_of_ours(run: Run, tmp_path: Path):
    model = onnx.load(written(of_run(run), "onnx", tmp_path))
    assert onnx_graph.network_of(model).name == f"{run.network.name}_pixels"
    assert set(onnx_graph.get_weights(model)) > set(run.weights)
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_the_same_run_gives_the_same_bytes(to: str, run: Run, tmp_path: Path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(of_run(run), to, tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
