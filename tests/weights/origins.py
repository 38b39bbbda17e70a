"""One function of a photograph, written down as torchvision, timm, Caffe, MatConvNet and flaxmodels each would.

The origins subtract two means that differ by up to half a pixel, and a map's border shows zeros: pixels of the mean. So
that both still mean the same function, to the last digit, every tap of conv1_1 is made blind to the difference: it is
at right angles to it in colour space. Everything else about the weights is random.

Nothing here uses `verydeep.weights` beyond the initial numbers: each writer turns axes in its own words.
"""

import struct
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import timm
import torch
from safetensors.torch import save_file
from timm.layers import ClassifierHead
from timm.models.vgg import ConvMlp
from torch import nn
from torchvision.models.vgg import VGG, make_layers

from verydeep.backends.check import sample_weights
from verydeep.families.catalog import network
from verydeep.spec import Conv, Linear, Pool, ReLU, walk

HIDDEN = 64
CHANNELS = (4, 8, 16, 32, 32)
MAP = (32, 7, 7)  # what fc6 reads: channels, height, width
NET = network("vgg16", width=1 / 16, classes=10, fc=(HIDDEN, HIDDEN))
CONVOLUTIONS = [step.layer.name for step in walk(NET) if isinstance(step.layer, Conv)]
MATRICES = [step.layer.name for step in walk(NET) if isinstance(step.layer, Linear)]
PLAN = [4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"]  # as torchvision and timm write it

CONVOLUTION = bytes([3 << 3, 1, 4 << 3, 3])  # of Caffe's parameters: pad 1, kernel_size 3
POOLING = bytes([1 << 3, 0, 2 << 3, 2, 3 << 3, 2])  # MAX, kernel_size 2, stride 2

MEAN, DEVIATION = 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])  # torchvision's, RGB
OXFORD = np.array([123.68, 116.779, 103.939])  # the mean pixel, RGB


def of_pixels():
    """Canonical weights for RGB pixels less a mean: torchvision's or Oxford's, it makes no difference."""
    weights = sample_weights(NET)
    difference = (OXFORD - MEAN) / np.linalg.norm(OXFORD - MEAN)
    kernel = weights["conv1_1.weight"].astype(np.float64) / DEVIATION[:, None, None]
    along = np.einsum("oihw,i->ohw", kernel, difference)
    kernel -= along[:, None] * difference[:, None, None]
    return {**weights, "conv1_1.weight": kernel.astype(np.float32)}


def of_numbers(pixels):
    """The same for input that is also divided by torchvision's deviation."""
    kernel = pixels["conv1_1.weight"].astype(np.float64) * DEVIATION[:, None, None]
    return {**pixels, "conv1_1.weight": kernel.astype(np.float32)}


def of_bgr(pixels):
    """The same for pixels in the order blue, green, red."""
    return {**pixels, "conv1_1.weight": pixels["conv1_1.weight"][:, ::-1].copy()}


def torchvision_model(weights):
    """torchvision's class with its own thin features; its classifier, made for 512 channels, with other sizes."""
    with torch.device("meta"):
        model = VGG(nn.Identity(), init_weights=False)
    model.features = make_layers(PLAN)
    sizes = [np.prod(MAP), HIDDEN, HIDDEN, 10]
    for place, inputs, outputs in zip((0, 3, 6), sizes, sizes[1:], strict=False):
        model.classifier[place] = nn.Linear(int(inputs), outputs)
    return filled(model.eval(), weights)


def timm_model(weights):
    """timm's class with its own thin features; its head, made for 4096 features, of the same classes in other sizes."""
    with torch.device("meta"):
        model = timm.models.vgg.VGG([8, "M"])
    model.features = timm.models.vgg.VGG(PLAN, mlp_ratio=1 / 4096, num_classes=0).features
    model.pre_logits = ConvMlp(MAP[0], HIDDEN, 7)
    model.head = ClassifierHead(HIDDEN, 10)
    return filled(model.eval(), weights)


def filled(model, weights):
    """The model with the weights in the order in which both have them; a matrix may be kept as a kernel."""
    state = model.state_dict()
    arrays = list(weights.values())
    assert len(state) == len(arrays)
    model.load_state_dict(
        {key: torch.from_numpy(array).reshape(state[key].shape) for key, array in zip(state, arrays, strict=True)}
    )
    return model


def write_pytorch(model, file: Path):
    """With torch.save, and as safetensors."""
    torch.save(model.state_dict(), file.with_suffix(".pth"))
    save_file(model.state_dict(), file.with_suffix(".safetensors"))


def write_flaxmodels(weights, file: Path):
    """As flaxmodels reads it: groups by layer, HWIO, (in, out) with the rows in PyTorch's order."""
    with h5py.File(file, "w") as folder:
        for name, array in weights.items():
            axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[array.ndim]
            folder[name.replace(".", "/")] = array.transpose(axes)


def write_matconvnet(weights, file: Path, *, average=OXFORD):
    """A simplenn as vl_simplenn reads it, every layer with weights a convolution."""
    layers = []
    for step in walk(NET):
        layer = {"name": step.layer.name, "type": {ReLU: "relu", Pool: "pool"}.get(type(step.layer), "dropout")}
        if layer["type"] == "pool":
            layer |= {"method": "max", "pool": [2, 2], "stride": [2, 2], "pad": [0, 0, 0, 0]}
        if step.layer.name in CONVOLUTIONS + MATRICES:
            kernel = weights[f"{step.layer.name}.weight"]
            if kernel.ndim == 2:
                kernel = kernel.reshape(-1, *(MAP if step.layer.name == "fc6" else (HIDDEN, 1, 1)))
            cells = np.empty((1, 2), object)
            cells[0] = [kernel.transpose(2, 3, 1, 0), weights[f"{step.layer.name}.bias"][None]]
            layer |= {"type": "conv", "weights": cells, "stride": [1, 1]}
            layer["pad"] = [1, 1, 1, 1] if step.layer.name in CONVOLUTIONS else [0, 0, 0, 0]
        layers.append(layer)
    cell = np.empty((1, len(layers)), object)
    cell[0] = layers
    description = np.empty((1, 10), object)
    description[0] = [f"class {number}" for number in range(10)]
    normalization = {"averageImage": np.asarray(average, np.float32).reshape(1, 1, 3), "imageSize": [224, 224, 3]}
    meta = {"normalization": normalization, "classes": {"description": description}}
    scipy.io.savemat(file, {"layers": cell, "meta": meta}, do_compression=True)


def write_caffe(weights, file: Path, *, generation: int):
    """A NetParameter, byte by byte (caffe.proto): layers of today (2), or of 2014 (1), whose blobs have four axes."""
    file.write_bytes(field(1, b"VGG_ILSVRC_16_layers") + b"".join(caffe_layers(weights, generation=generation)))


def caffe_layers(weights, *, generation: int):
    """Every layer of NET as a field of a NetParameter."""
    kinds = {Conv: ("Convolution", 4), Linear: ("InnerProduct", 14), ReLU: ("ReLU", 18), Pool: ("Pooling", 17)}
    windows = {Conv: (106, 10, CONVOLUTION), Pool: (121, 19, POOLING)}  # the field of today, of 2014, and what is in it
    for step in walk(NET):
        name, (kind, number) = step.layer.name, kinds.get(type(step.layer), ("Dropout", 6))
        arrays = [array for key, array in weights.items() if key.startswith(f"{name}.")]
        today, then, window = windows.get(type(step.layer), (0, 0, b""))
        inside = field(today if generation == 2 else then, window) if window else b""
        if generation == 2:
            blobs = b"".join(field(7, blob(array)) for array in arrays)
            yield field(100, field(1, name.encode()) + field(2, kind.encode()) + blobs + inside)
        else:
            blobs = b"".join(field(6, old_blob(array)) for array in arrays)
            yield field(2, field(4, name.encode()) + varint(5 << 3) + varint(number) + blobs + inside)


def blob(array):
    """A BlobProto with a BlobShape."""
    return field(7, field(1, b"".join(map(varint, array.shape)))) + field(5, array.astype("<f4").tobytes())


def old_blob(array):
    """A BlobProto with num, channels, height and width, numbers one by one as Caffe of 2014 wrote them."""
    shape = (1,) * (4 - array.ndim) + array.shape
    lengths = b"".join(varint(number << 3) + varint(length) for number, length in enumerate(shape, start=1))
    return lengths + b"".join(b"\x2d" + struct.pack("<f", value) for value in array.ravel())


def field(number, content):
    """A field of bytes: tag, length, content."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    """A whole number in groups of seven bits, the lowest first."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
