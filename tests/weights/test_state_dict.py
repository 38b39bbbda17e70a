"""Files of torch.save that strangers wrote: tensors come in, code does not."""

import argparse
import io
import os
import pickle
import runpy
import subprocess
import zipfile

import numpy as np
import pytest
import torch

from verydeep.errors import WeightsError
from verydeep.weights import state_dict

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
        state_dict.read(path)
    assert str(path) in raised.value.message
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("is_zip", [True, False])
def test_both_forms_of_torch_save_are_read(path, is_zip):
    torch.save(STATE, path, _use_new_zipfile_serialization=is_zip)
    found = state_dict.read(path)
    assert list(found) == list(STATE)
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in STATE.items())


def test_a_newer_pickle_protocol_is_read_without_a_warning(path):
    torch.save(STATE, path, pickle_protocol=3)
    assert list(state_dict.read(path)) == list(STATE)


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
    assert refusal(path).code == "WEIGHTS-UNREADABLE"


def test_what_is_no_state_dict_is_refused(path):
    torch.save([torch.zeros(3)], path)
    assert "holds a list, not a state dict" in refusal(path).message


def test_a_checkpoint_is_refused_and_the_way_in_is_told(path):
    torch.save({"model": STATE, "epoch": 3}, path)
    error = refusal(path)
    assert "model is a dict, not a tensor" in error.message
    assert "['model']" in error.hint


def test_a_tensor_that_claims_more_numbers_than_it_stores_is_refused(path):
    torch.save({"a": torch.zeros(1).expand(10**10)}, path)
    assert "a claims 10000000000 numbers" in refusal(path).message


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3, dtype=torch.complex64).conj(),
        torch.zeros(3, device="meta"),
        torch.zeros(2, 2).to_sparse(),
    ],
)
def test_tensors_that_are_no_ordinary_arrays_are_refused_and_named(tensor):
    with pytest.raises(WeightsError, match="odd is no ordinary tensor"):
        state_dict.arrays({"odd": tensor})


def test_types_that_numpy_lacks_come_as_float32():
    tensor = torch.randn(5).bfloat16()
    found = state_dict.arrays({"a": tensor})["a"]
    assert found.dtype == np.float32
    assert np.array_equal(found, tensor.float().numpy())


def test_other_tensors_share_their_memory():
    tensor = torch.zeros(3)
    state_dict.arrays({"a": tensor})["a"][0] = 7
    assert tensor[0] == 7


def test_parameters_need_not_be_detached():
    assert state_dict.arrays({"a": torch.nn.Parameter(torch.ones(2))})["a"].sum() == 2
