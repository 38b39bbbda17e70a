"""8-bit integers: the classes stay those of floating point, the file is smaller, and a bad one is not kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
import onnx
import openvino

from tests.deploy.bundles import apart
from tests.deploy.test_formats_agree import ENGINES, texts_of
from verydeep.backends.check import narrow, sample_weights
from verydeep.cli.main import main
from verydeep.data.split import MemorySplit
from verydeep.deploy import onnx_int8, openvino_int8, to_onnx
from verydeep.deploy.bundle import Bundle, for_pixels, of_run
from verydeep.deploy.export import export
from verydeep.deploy.formats import FORMATS
from verydeep.deploy.images import Labelled
from verydeep.deploy.quantise import LEAST_AGREEMENT, Comparison, EngineRow, compare, refuse_disagreement
from verydeep.deploy.verify import model_of
from verydeep.errors import VerificationError
from verydeep.families.catalog import CATALOG
from verydeep.preprocessing import Preprocessing
from verydeep.run import Run

MODULES: dict[str, Any] = {"onnx": onnx_int8, "openvino": openvino_int8}
INTEGERS = {"onnx": "onnxruntime", "openvino": "openvino"}


@pytest.mark.parametrize("to", MODULES)
@pytest.mark.parametrize("size", ["fixed", "free"])
def test_int8_names_the_classes_of_floating_point(
    to: str, size: Any, run: Run, figures: MemorySplit, tmp_path: Path, capsys: Any
):
    path = tmp_path / f"model{FORMATS[to].suffix}"
    done = export(run, to=to, size=size, int8=True, out=path)
    assert sorted(done.files) == sorted(place.name for place in tmp_path.iterdir())
    assert done.comparison is not None
    rows = {row.engine: row for row in done.comparison.engines}
    integers, floats = rows[f"{INTEGERS[to]} int8"], rows[f"{INTEGERS[to]} float32"]
    with capsys.disabled():
        print(
            f"\n{to} {size}: top-1 agreement {integers.agreement:.4f} on {done.comparison.images} images, "
            f"top-1 {integers.top1:.4f} (float {floats.top1:.4f}), {done.bytes:,} bytes"
        )
    assert (done.comparison.images, done.comparison.calibration) == (360, 256)
    assert integers.agreement > LEAST_AGREEMENT
    assert abs(integers.top1 - floats.top1) < 0.05
    assert (floats.agreement, floats.ratio) == (1.0, 1.0)
    assert floats.top1 == rows["pytorch float32"].top1 > 0.8
    if size == "fixed":
        pixels = figures.images[:1000]
        found = ENGINES[INTEGERS[to]][1](path, pixels.astype(np.float32)).argmax(1)
        agreement = (found == model_of(of_run(run))(pixels).argmax(1)).mean()
        assert agreement > LEAST_AGREEMENT


@pytest.mark.parametrize("to", MODULES)
def test_the_weights_are_8_bit_integers_and_what_is_written_in_the_file_stays(to: str, run: Run, tmp_path: Path):
    plain, small = tmp_path / f"plain{FORMATS[to].suffix}", tmp_path / f"small{FORMATS[to].suffix}"
    export(run, to=to, out=plain)
    export(run, to=to, out=small, int8=True)
    assert texts_of(small) == texts_of(plain)
    if to == "onnx":
        model = onnx.load(small)
        onnx.checker.check_model(model, full_check=True)
        found = {place.name: place for place in model.graph.initializer}
        for layer, channels in (("conv2_1", 16), ("fc3", 16)):
            name = next(name for name in found if name.endswith(f"{layer}.weight_quantized"))
            assert found[name].data_type == onnx.TensorProto.INT8
            assert list(found[name.replace("_quantized", "_scale")].dims) == [channels]
        assert model.graph.node[-1].op_type == "Gemm"  # the logits are not rounded
    else:
        types = {node.get_output_element_type(0).to_string() for node in openvino.Core().read_model(small).get_ops()}
        assert types & {"i8", "u8"}


@pytest.mark.parametrize("to", MODULES)
def test_ranges_measured_on_black_images_are_found_out(
    to: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    original = MODULES[to].quantise
    monkeypatch.setattr(MODULES[to], "quantise", lambda source, *, images: original(source, images=0 * images))
    path = tmp_path / f"model{FORMATS[to].suffix}"
    words = ["export", str(run.path), "--to", to, "--out", str(path), "--int8"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    assert ended.value.code == 8
    assert f"error[EXPORT-DISAGREES]: {INTEGERS[to]} int8 names the class that floating point names for" in said.err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit) as ended:
        main([*words, "--least-agreement", "0"])
    assert ended.value.code == 0
    assert path.is_file()
    shown = capsys.readouterr().out
    assert "engine" in shown
    assert "360 test images; time of a batch of 16, engines in turn" in shown


@pytest.mark.parametrize("least", ["0", "0.9"])
def test_integers_that_fail_in_a_batch_of_seven_are_found_out(
    least: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    original = to_onnx.runner

    def runner(path: Path) -> Any:
        compute = original(path)
        rounded = path.parent.name == "int8"
        return lambda images: compute(images) * (np.nan if rounded and len(images) == 7 else 1)

    monkeypatch.setattr(to_onnx, "runner", runner)
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run.path), "--int8", "--out", str(tmp_path / "model.onnx"), "--least-agreement", least])
    assert ended.value.code == 8
    assert "[EXPORT-MISMATCH]: the exported file is not the model: at batch 7 of 8x8 a logit" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_comparison_counts_what_each_engine_says():
    labels = np.array([0, 1, 1, 0])
    images = Labelled(np.zeros((4, 1, 2, 2), np.uint8), labels)

    def saying(*classes: int) -> Any:
        return lambda pixels: np.eye(2, dtype=np.float32)[list(classes)][: len(pixels)]

    def over_a_map(pixels: Any) -> Any:
        return np.stack([saying(0, 1, 1, 0)(pixels)] * 6, axis=2).reshape(-1, 2, 2, 3)

    engines = {"float": saying(0, 1, 1, 1), "int8": saying(1, 1, 1, 1), "map": over_a_map}
    found = compare(engines, standard="float", images=images, calibration=7)
    assert (found.calibration, found.images, found.batch) == (7, 4, 4)
    shares = [(row.engine, row.top1, row.agreement) for row in found.engines]
    assert shares == [("float", 0.75, 1.0), ("int8", 0.5, 0.75), ("map", 1.0, 0.75)]
    assert all(0 < row.min_ms <= row.median_ms for row in found.engines)
    assert found.engines[0].ratio == 1


@pytest.mark.parametrize(("agreement", "least"), [(0.8999, 0.9), (0.0, 0.001), (0.999, 1.0)])
def test_an_agreement_below_what_is_asked_is_refused(agreement: float, least: float):
    rows = (EngineRow("float", 1.0, 1.0, 1.0, 1.0, 1.0), EngineRow("int8", 1.0, agreement, 1.0, 1.0, 1.0))
    with pytest.raises(VerificationError, match=r"int8 names the class .* of 1,000 images") as caught:
        refuse_disagreement(Comparison(256, 1000, 16, rows), least=least)
    assert caught.value.code == "EXPORT-DISAGREES"
    refuse_disagreement(Comparison(256, 1000, 16, rows), least=agreement)


def test_logits_that_no_matrix_makes_are_not_rounded_either(tmp_path: Path):
    """NiN ends in the mean of each map."""
    network = narrow("nin", CATALOG["nin"])
    record = Preprocessing(3, network.input[1:], None, "center", (120.0,) * 3, (60.0,) * 3, "RGB")
    given = for_pixels(Bundle(network, sample_weights(network), record, ()))
    to_onnx.write(given, tmp_path / "model.onnx", size="fixed")
    pixels = np.random.default_rng(0).integers(256, size=(8, *network.input)).astype(np.float32)
    model = onnx.load(onnx_int8.quantise(tmp_path / "model.onnx", images=pixels))
    assert [node.op_type for node in model.graph.node][-2:] == ["GlobalAveragePool", "Flatten"]
    used = {name for node in model.graph.node for name in node.input}
    assert {place.name for place in model.graph.initializer} <= used
    found = ENGINES["onnxruntime"][1](tmp_path / "int8" / "model.onnx", pixels)
    assert apart(found, to_onnx.runner(tmp_path / "model.onnx")(pixels)) < 0.1
