"""Small sound files of every kind, written by the real libraries where there is one."""

import io
import json
import struct
import zipfile
from functools import cache

import h5py
import numpy as np
import scipy.io
import torch
from safetensors.numpy import save as safetensors_bytes

from tests.untrusted.corpus.protobuf import blob, field, layer, old_blob, v0_layer, v1_layer

RANDOM = np.random.default_rng(3)
KERNEL = RANDOM.standard_normal((4, 3, 3, 3)).astype(np.float32)
BIAS = RANDOM.standard_normal(4).astype(np.float32)
ARRAYS = {"conv1_1.weight": KERNEL, "conv1_1.bias": BIAS}


@cache
def files() -> dict[str, bytes]:
    """A file of each kind and variant by a name that begins with its kind."""
    net = field(1, b"VGG")
    return {
        "safetensors": safetensors_bytes(ARRAYS, metadata={"made": "by a test"}),
        "torch zip": torch_file(),
        "torch older": torch_file(_use_new_zipfile_serialization=False),
        "hdf5": hdf5(),
        "hdf5 packed": hdf5(chunks=True, compression="gzip", shuffle=True),
        "keras": keras(),
        "caffemodel": net + layer("conv1_1", blob(KERNEL), blob(BIAS)) + layer("relu1_1", kind="ReLU"),
        "caffemodel v1": net + v1_layer("conv1_1", old_blob(KERNEL), old_blob(BIAS)),
        "caffemodel v0": v0_layer("conv1_1", old_blob(KERNEL), old_blob(BIAS)),
        "mat": mat(do_compression=False),
        "mat packed": mat(do_compression=True),
        "mxnet": mxnet(),
    }


def torch_file(**options: bool) -> bytes:
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in ARRAYS.items()}, file, **options)
    return file.getvalue()


def hdf5(**options: object) -> bytes:
    """Weights as Keras 2 lays them out."""
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        root.attrs["layer_names"] = [b"conv1_1"]
        root.attrs["backend"] = "tensorflow"
        group = root.create_group("conv1_1")
        group.attrs["weight_names"] = [b"conv1_1/kernel:0", b"conv1_1/bias:0"]
        group.create_dataset("conv1_1/kernel:0", data=KERNEL.transpose(2, 3, 1, 0), **options)
        group.create_dataset("conv1_1/bias:0", data=BIAS, **options)
    return file.getvalue()


def keras(weights: bytes | None = None, config: object = None) -> bytes:
    """A .keras file as Keras 3 lays it out."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config or {"module": "keras", "class_name": "Sequential"}))
        archive.writestr("model.weights.h5", hdf5() if weights is None else weights)
    return file.getvalue()


def mat(*, do_compression: bool) -> bytes:
    """A SimpleNN network of MatConvNet."""
    weights = np.empty((1, 2), object)
    weights[0, 0], weights[0, 1] = KERNEL.transpose(2, 3, 1, 0), BIAS[None]
    layers = np.empty((1, 2), object)
    layers[0, 0] = {"name": "conv1_1", "type": "conv", "weights": weights}
    layers[0, 1] = {"name": "relu1_1", "type": "relu"}
    meta = {
        "normalization": {"averageImage": np.ones((1, 1, 3)), "imageSize": [224.0, 224.0, 3.0]},
        "classes": {"description": np.array(["cat", "dog"], object)},
    }
    file = io.BytesIO()
    scipy.io.savemat(file, {"layers": layers, "meta": meta}, do_compression=do_compression)
    return file.getvalue()


def mxnet() -> bytes:
    """What MXNet 1.x writes: arrays of version 2, then their names."""
    file = struct.pack("<QQQ", 0x112, 0, len(ARRAYS))
    for array in ARRAYS.values():
        file += struct.pack("<IiI", 0xF993FAC9, 0, array.ndim) + np.array(array.shape, "<i8").tobytes()
        file += struct.pack("<iii", 1, 0, 0) + array.tobytes()
    file += struct.pack("<Q", len(ARRAYS))
    return file + b"".join(struct.pack("<Q", len(name)) + name.encode() for name in ARRAYS)
