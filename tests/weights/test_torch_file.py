"""Files of torch.save, read without it: tensors come in as they are, code does not; see also tests/untrusted."""

import argparse
import io
import os
import pickle
import runpy
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from tests.untrusted.corpus import tensors
from verydeep.errors import WeightsError
from verydeep.weights import file_kinds

STATE = {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(3)}


class Gadget:
    """Calls `function(*arguments)` when an unsuspecting program unpickles it."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def refusal(path):
    with pytest.raises(WeightsError) as raised:
        file_kinds.read(path)
    assert str(path) in raised.value.message
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("is_zip", [True, False])
def test_both_forms_of_torch_save_are_read(path, is_zip):
    torch.save(STATE, path, _use_new_zipfile_serialization=is_zip)
    found = file_kinds.read(path).arrays
    assert list(found) == list(STATE)
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in STATE.items())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle_that_torch_writes_is_read(path, protocol):
    torch.save(STATE, path, pickle_protocol=protocol)
    assert list(file_kinds.read(path).arrays) == list(STATE)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("function", ["system", "run", "exec", "run_path", "load"])
def test_code_is_refused_and_never_runs(path, tmp_path, function, is_zip):
    canary = tmp_path / "canary"
    script = tmp_path / "script.py"
    script.write_text(f"open({str(canary)!r}, 'w').close()")
    gadgets = {
        "system": Gadget(os.system, f"touch {canary}"),
        "run": Gadget(subprocess.run, ["touch", str(canary)]),
        "exec": Gadget(exec, script.read_text()),
        "run_path": Gadget(runpy.run_path, str(script)),
        "load": Gadget(pickle.loads, pickle.dumps(Gadget(os.system, f"touch {canary}"))),
    }
    torch.save({**STATE, "z": gadgets[function]}, path, _use_new_zipfile_serialization=is_zip)
    error = refusal(path)
    assert error.code == "WEIGHTS-CODE"
    assert "contains code" in error.message
    assert error.message.endswith("refused")
    assert not canary.exists()


def test_the_code_that_was_asked_for_is_named(path):
    torch.save({**STATE, "args": argparse.Namespace(lr=0.1)}, path)
    assert "contains code (argparse.Namespace); refused" in refusal(path).message


def test_a_whole_pickled_model_is_refused(path):
    torch.save(torch.nn.Linear(2, 2), path)
    assert "contains code (torch.nn.modules.linear.Linear); refused" in refusal(path).message


def test_a_bare_pickle_is_refused(path, tmp_path):
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps(Gadget(os.system, f"touch {tmp_path}/canary"), protocol=protocol))
        refusal(path)
    assert not (tmp_path / "canary").exists()


def test_a_torchscript_program_is_refused(path):
    torch.save(STATE, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("weights/constants.pkl", b"")
    error = refusal(path)
    assert error.code == "WEIGHTS-CODE"
    assert "contains code (a TorchScript program)" in error.message


def test_an_archive_that_unpacks_to_more_than_it_is_is_refused(path):
    torch.save({"a": torch.zeros(300_000)}, path)
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bomb:
        for member in archive.namelist():
            bomb.writestr(member, archive.read(member))
    path.write_bytes(packed.getvalue())
    assert "unpacks to more bytes than it has" in refusal(path).message


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_cut_anywhere_is_refused(path, is_zip):
    torch.save({"a": torch.randn(1000)}, path, _use_new_zipfile_serialization=is_zip)
    content = path.read_bytes()
    for length in (0, 1, 10, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refusal(path)


def test_an_archive_with_a_damaged_directory_is_refused(path):
    torch.save(STATE, path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"PK\x01\x02", b"PK\x01\x00"))
    assert refusal(path).code == "WEIGHTS-CORRUPT"


def test_what_is_no_state_dict_is_refused(path):
    torch.save([torch.zeros(3)], path)
    assert "holds a list, not a state dict" in refusal(path).message


def test_a_checkpoint_is_refused_and_the_way_in_is_told(path):
    torch.save({"model": STATE, "epoch": 3}, path)
    error = refusal(path)
    assert "model is a dict, not a tensor" in error.message
    assert "['model']" in error.hint


def test_a_checkpoint_with_an_optimiser_is_refused_as_one(path):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimiser.step()
    torch.save({"model": STATE, "optimizer": optimiser.state_dict()}, path)
    assert "['model']" in refusal(path).hint


def test_a_tensor_that_claims_more_numbers_than_it_stores_is_refused(path):
    torch.save({"a": torch.zeros(1).expand(10**10)}, path)
    assert "a claims 10000000000 numbers" in refusal(path).message


def every_kind_of_tensor():
    values = torch.arange(24.0)
    return {
        **{
            str(dtype): values.to(dtype)
            for dtype in (torch.float64, torch.float32, torch.float16, torch.int64, torch.int32)
        },
        **{str(dtype): values.to(dtype) for dtype in (torch.int16, torch.int8, torch.uint8, torch.bool)},
        "scalar": torch.tensor(3.0),
        "empty": torch.empty(0, 4),
        "transposed": values.reshape(4, 6).T,
        "part": values[3:9],
        "every other": values[::2],
        "the same storage": values,
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(values.reshape(2, 12)),
    }


@pytest.mark.parametrize("is_zip", [True, False])
def test_tensors_of_every_kind_come_out_as_torch_reads_them(path, is_zip):
    state = every_kind_of_tensor()
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    expected = torch.load(path, weights_only=True)
    found = file_kinds.read(path).arrays
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.detach().numpy().dtype
        assert np.array_equal(found[name], tensor.detach().numpy())


@pytest.mark.parametrize("is_zip", [True, False])
def test_bfloat16_becomes_float32_exactly(path, is_zip):
    tensor = torch.randn(100).bfloat16()
    torch.save({"a": tensor}, path, _use_new_zipfile_serialization=is_zip)
    found = file_kinds.read(path).arrays["a"]
    assert found.dtype == np.float32
    assert np.array_equal(found, tensor.float().numpy())


@pytest.mark.parametrize("is_zip", [True, False])
def test_the_state_dict_of_a_model_with_batch_norm_is_read(path, is_zip):
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    found = file_kinds.read(path).arrays
    assert {name: array.shape for name, array in found.items()} == {name: tuple(t.shape) for name, t in state.items()}


def test_a_parameter_of_pytorch_0_1_is_read_as_torch_reads_it(path):
    """Its pickle makes a Parameter first and fills it afterwards."""
    tensor = tensors.tensor((3, 4), (4, 1), call="torch._utils _rebuild_tensor", rest=b"")
    made = b"ctorch.nn.parameter\nParameter\n)\x81(" + tensor + b"N}\x88\x89tb"
    path.write_bytes(tensors.file(made, data=np.arange(12, dtype="<f4").tobytes()))
    found = file_kinds.read(path).arrays["t0.weight"]
    assert np.array_equal(found, torch.load(path, weights_only=True)["t0.weight"].detach().numpy())
    assert np.array_equal(found, np.arange(12).reshape(3, 4))


def test_the_arrays_may_be_written_to(path):
    torch.save(STATE, path)
    file_kinds.read(path).arrays["a.weight"][0] = 1


def test_reading_loads_no_framework(path):
    torch.save(STATE, path)
    program = (
        "import sys; from pathlib import Path; from verydeep.weights.file_kinds import read; read(Path(sys.argv[1]))"
    )
    program += "; print([name for name in ('torch', 'h5py', 'scipy', 'keras', 'jax') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
