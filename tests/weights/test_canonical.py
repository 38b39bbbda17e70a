"""Our own weight file: everything comes back, and nothing damaged does."""

import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save as numpy_bytes
from safetensors.torch import save as torch_bytes

from verydeep import spec_json
from verydeep.backends.check import sample_weights
from verydeep.errors import WeightsError
from verydeep.families.catalog import network
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.weights import canonical

NET = network("D_bn", input=(3, 32, 32), width=1 / 16, fc=(8, 8), classes=3)
WEIGHTS = sample_weights(NET)
CLASSES = ("cat", "dog", "Käfer")
PREPROCESSING = {"mean": [123.68, 116.779, 103.939], "size": [32, 32], "resize": None, "color": "RGB"}
EXTRA = {"epochs": 74, "top1": 0.1 + 0.2, "recipe": {"name": "paper", "seeds": [1, 2]}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def record(**changes):
    whole = {
        "schema": 1,
        "network": spec_json.to_json(NET),
        "preprocessing": None,
        "classes": [],
        "extra": {},
    }
    return {**whole, **changes}


def write(path, *, arrays=None, text=None):
    path.write_bytes(
        numpy_bytes(WEIGHTS if arrays is None else arrays, metadata={"verydeep": text or json.dumps(record())})
    )


def refusal(path):
    with pytest.raises(WeightsError) as raised:
        canonical.load(path)
    assert str(path) in raised.value.message
    assert raised.value.hint
    return raised.value


def test_everything_comes_back_as_it_was(path):
    canonical.save(path, network=NET, weights=WEIGHTS, preprocessing=PREPROCESSING, classes=CLASSES, extra=EXTRA)
    found = canonical.load(path)
    assert found.network == NET
    assert (found.preprocessing, found.classes, found.extra) == (PREPROCESSING, CLASSES, EXTRA)
    assert list(found.weights) == list(WEIGHTS)
    for name, array in WEIGHTS.items():
        assert found.weights[name].dtype == np.float32
        assert np.array_equal(found.weights[name], array)


def test_what_nobody_knows_may_be_left_out(path):
    canonical.save(path, network=NET, weights=WEIGHTS)
    found = canonical.load(path)
    assert (found.preprocessing, found.classes, found.extra) == (None, (), {})


def test_views_and_other_memory_orders_are_written_by_value(path):
    net = network("lenet5")
    weights = sample_weights(net)
    views = {name: np.asfortranarray(array) for name, array in dense_weights(net, weights).items()}
    canonical.save(path, network=dense(net), weights=views)
    found = canonical.load(path).weights
    assert all(np.array_equal(found[name].ravel(), array.ravel()) for name, array in weights.items())


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        canonical.save(tmp_path / name, network=NET, weights=WEIGHTS, classes=CLASSES, extra=EXTRA)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_file_modes_follow_the_umask(tmp_path):
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        path = tmp_path / f"{mask:o}"
        before = os.umask(mask)
        try:
            canonical.save(path, network=NET, weights=WEIGHTS)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(path):
    path.write_bytes(b"old")
    canonical.save(path, network=NET, weights=WEIGHTS)
    assert canonical.load(path).network == NET
    assert list(path.parent.iterdir()) == [path]


def test_who_has_the_old_file_open_keeps_it(path):
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        canonical.save(path, network=NET, weights=WEIGHTS)
        assert reader.read() == b"old"


def test_what_cannot_be_saved_leaves_the_old_file(path):
    path.write_bytes(b"old")
    broken = {**WEIGHTS, "fc8.bias": np.array([1, np.nan, 2], np.float32)}
    for options, text in (
        ({"weights": broken}, r"fc8\.bias: 1 of 3 values are NaN"),
        ({"weights": {}}, "missing: conv1_1"),
        ({"weights": WEIGHTS, "classes": ("cat", "dog")}, "2 different class names for the 3 outputs"),
        ({"weights": WEIGHTS, "classes": ("cat", "dog", "cat")}, "2 different class names for the 3 outputs"),
        ({"weights": WEIGHTS, "extra": {"loss": float("nan")}}, "not JSON"),
        ({"weights": WEIGHTS, "extra": {"path": path}}, "not JSON"),
    ):
        with pytest.raises(WeightsError, match=text):
            canonical.save(path, network=NET, **options)
        assert path.read_bytes() == b"old"


@pytest.mark.parametrize(("kind", "exact"), [("float16", True), ("bfloat16", True), ("float64", False)])
def test_other_floating_point_types_are_read_as_float32(path, kind, exact):
    tensors = {name: torch.from_numpy(array).to(getattr(torch, kind)) for name, array in WEIGHTS.items()}
    path.write_bytes(torch_bytes(tensors, metadata={"verydeep": json.dumps(record())}))
    found = canonical.load(path).weights
    for name, tensor in tensors.items():
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], tensor.float().numpy())
        assert exact is False or np.array_equal(tensor.double().numpy(), found[name].astype(np.float64))


def test_float64_weights_are_saved_as_float32(path):
    canonical.save(path, network=NET, weights={name: array.astype(np.float64) for name, array in WEIGHTS.items()})
    assert np.array_equal(canonical.load(path).weights["fc8.weight"], WEIGHTS["fc8.weight"])


def test_a_value_too_large_for_float32_is_refused(path):
    write(path, arrays={**WEIGHTS, "fc8.bias": np.array([1e300, 0, 0])})
    assert "fc8.bias: 1 of 3 values" in refusal(path).message


def test_other_kinds_of_numbers_are_refused(path):
    write(path, arrays={**WEIGHTS, "fc8.bias": np.zeros(3, np.int8)})
    assert refusal(path).code == "WEIGHTS-DTYPE"


def test_a_type_that_numpy_lacks_is_refused(path):
    path.write_bytes(
        torch_bytes({"a": torch.zeros(3).to(torch.float8_e4m3fn)}, metadata={"verydeep": json.dumps(record())})
    )
    assert refusal(path).code == "WEIGHTS-UNREADABLE"


def test_a_missing_file_a_folder_and_other_content_are_refused(path):
    assert refusal(path).code == "WEIGHTS-UNREADABLE"
    assert refusal(path.parent).code == "WEIGHTS-UNREADABLE"
    for content in (b"", b"no", b"PK\x03\x04" + b"0" * 100, b"\xff" * 200):
        path.write_bytes(content)
        assert refusal(path).code == "WEIGHTS-UNREADABLE"


def test_a_file_cut_anywhere_is_refused(path):
    canonical.save(path, network=NET, weights=WEIGHTS)
    content = path.read_bytes()
    header = int.from_bytes(content[:8], "little") + 8
    for length in (4, 8, 9, header - 1, header, header + 1, len(content) - 1):
        path.write_bytes(content[:length])
        assert refusal(path).code == "WEIGHTS-UNREADABLE"


def test_a_file_without_our_record_is_refused(path):
    path.write_bytes(numpy_bytes(WEIGHTS))
    assert refusal(path).code == "WEIGHTS-NO-RECORD"


def test_newer_schemas_are_refused(path):
    write(path, text=json.dumps(record(schema=2, news=1)))
    assert refusal(path).code == "WEIGHTS-SCHEMA"
    write(path, text=json.dumps(record(network={**spec_json.to_json(NET), "schema": 99})))
    assert "schema 99" in refusal(path).message


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        json.dumps({key: value for key, value in record().items() if key != "extra"}),
        json.dumps(record(odd=1)),
        json.dumps(record(schema=True)),
        json.dumps(record(schema=0)),
        json.dumps(record(schema="1")),
        json.dumps(record(extra=[])),
        json.dumps(record(preprocessing=[])),
        json.dumps(record(classes="abc")),
        json.dumps(record(classes=[1, 2, 3])),
        json.dumps(record(network=None)),
        json.dumps(record(network={**spec_json.to_json(NET), "blocks": []})),
        json.dumps(record(extra={"loss": float("nan")})),
        json.dumps(record())[:-1] + ', "extra": {}}',
        '{"schema": ' + "9" * 5000 + "}",
    ],
)
def test_a_damaged_record_is_refused(path, text):
    write(path, text=text)
    assert refusal(path).code == "WEIGHTS-RECORD"


def test_class_names_must_be_as_many_as_outputs(path):
    write(path, text=json.dumps(record(classes=["cat"])))
    assert refusal(path).code == "WEIGHTS-CLASSES"


def test_missing_unknown_reshaped_and_non_finite_arrays_are_refused_and_named(path):
    for arrays, text in (
        ({name: array for name, array in WEIGHTS.items() if name != "bn2_1.bias"}, "missing: bn2_1.bias"),
        ({**WEIGHTS, "conv9_1.weight": np.zeros(1, np.float32)}, "unknown: conv9_1.weight"),
        ({**WEIGHTS, "fc6.weight": WEIGHTS["fc6.weight"].T.copy()}, "fc6.weight is (32, 8), not (8, 32)"),
        ({**WEIGHTS, "fc8.bias": np.array([np.inf, 0, np.nan], np.float32)}, "fc8.bias: 2 of 3 values"),
    ):
        write(path, arrays=arrays)
        assert text in refusal(path).message


def test_reading_and_writing_need_no_framework(path):
    canonical.save(path, network=NET, weights=WEIGHTS)
    program = (
        "import sys; from pathlib import Path; from verydeep.weights import canonical, torchvision\n"
        "file = canonical.load(Path(sys.argv[1]))\n"
        "canonical.save(Path(sys.argv[1]), network=file.network, weights=file.weights)\n"
        "torchvision.to_torchvision(file.network, file.weights)\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
