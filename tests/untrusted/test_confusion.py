"""WTS-12: the kind of a file is what its bytes say, under every name; a file of two kinds is refused."""

import shutil
import struct

import pytest

from tests.untrusted.corpus.pickles import torch_zip
from tests.untrusted.corpus.valid import files, mat

EXTENSIONS = (
    "",
    ".pth",
    ".pt",
    ".bin",
    ".pkl",
    ".ckpt",
    ".safetensors",
    ".h5",
    ".hdf5",
    ".keras",
    ".weights.h5",
    ".caffemodel",
    ".mat",
    ".params",
    ".npz",
    ".npy",
    ".onnx",
    ".zip",
    ".tar",
    ".json",
    ".png",
    ".py",
    ".PTH",
    ".h5.pth",
    ".safetensors.mat",
)


@pytest.mark.parametrize("name", list(files()))
def test_every_kind_is_known_under_every_name(read, tmp_path, name):
    source = tmp_path / "source"
    source.write_bytes(files()[name])
    answers = set()
    for extension in EXTENSIONS:
        path = shutil.copy(source, tmp_path / f"weights{extension}")
        reading = read(path)
        answers.add((reading.kind, reading.error, reading.text))
    assert [(kind, error) for kind, error, _ in answers] == [(name.partition(" ")[0], "")]


def _polyglots() -> dict[str, bytes]:
    sound = files()
    archive = torch_zip(b"\x80\x02}.")
    hdf5_in = lambda data, place: data[:place].ljust(place, b"\0") + sound["hdf5"]  # noqa: E731
    header = bytearray(sound["mat"])
    header[:10] = b"\x80\x02}.MATLAB"
    tarred = bytearray(sound["hdf5"].ljust(2048, b"\0"))
    tarred[257:262] = b"ustar"
    return {
        **{f"{name} and an archive": data + archive for name, data in sound.items() if name != "torch zip"},
        **{
            f"{name} and HDF5 at {place}": hdf5_in(data, place)
            for name, data in sound.items()
            if "hdf5" not in name
            for place in (512, 2048)
            if len(data) < place
        },
        "torch and MATLAB": bytes(header),
        "Caffe and MATLAB": b"\x0a\x03VGG\xa2\x06\x70" + mat(do_compression=False)[8:],
        "HDF5 and tar": bytes(tarred),
        "archive and HDF5": archive
        + bytes(512 - len(archive) % 512 if len(archive) < 512 else 1024 - len(archive))
        + sound["hdf5"],
        "an archive and safetensors": b"PK\x03\x04" + struct.pack("<I", 0) + b"{}" + sound["safetensors"],
    }


@pytest.mark.parametrize("name", list(_polyglots()))
def test_a_file_of_two_kinds_is_refused(refused, name):
    refused(_polyglots()[name])


def test_what_is_no_file_of_weights_is_refused(refused):
    for data in (
        b"",
        b"\0",
        b"<!DOCTYPE html><html>404</html>",
        b"{}",
        b"\x89PNG\r\n\x1a\n",
        b"\x93NUMPY\x01\0",
        b"GIF89a",
        bytes(5000),
        b"\xff" * 5000,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 553\n",
        b"\x08\x07\x12\x07pytorch",
        b"TFL3",
        b"PK\x05\x06" + bytes(18),
        b"\x1f\x8b\x08" + bytes(99),
    ):
        assert refused(data).code in ("WEIGHTS-FORMAT", "WEIGHTS-CORRUPT")


def test_without_the_guard_a_file_of_two_kinds_is_read(read_without, tmp_path):
    path = tmp_path / "both"
    path.write_bytes(_polyglots()["hdf5 and an archive"])
    assert read_without("one-kind")(path).kind
