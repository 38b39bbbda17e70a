"""MXNet's files are read without MXNet: what the real one wrote gives its logits, and what is damaged is refused."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.in_mxnet import environment
from verydeep.backends import pytorch
from verydeep.backends.check import narrow, sample_weights
from verydeep.errors import WeightsError
from verydeep.families.catalog import CATALOG, network
from verydeep.spec import Network
from verydeep.weights import gluon
from verydeep.weights.mxnet_params import parse

ZOO = {"vgg11": "vgg11", "vgg16_bn": "vgg16_bn", "alexnet": "alexnet", "resnet18_v1": "resnet18"}
VERSION_2 = 0xF993FAC9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that the real MXNet wrote."""
    place = tmp_path_factory.mktemp("mxnet")
    environment.run("-m", "tests.in_mxnet.write_params", place)
    return place


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        arrays, about = parse(file)
    assert about == {}
    return arrays


def header(*shape: int, magic: int = VERSION_2, storage: int = 0, kind: int = 0) -> bytes:
    return struct.pack(f"<Iii{len(shape)}qiii", magic, storage, len(shape), *shape, 1, 0, kind)


def listing(*arrays: bytes, names: tuple[bytes, ...] = (b"x",), count: int | None = None) -> bytes:
    keys = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    start = struct.pack("<QQQ", 0x112, 0, len(arrays) if count is None else count)
    return start + b"".join(arrays) + struct.pack("<Q", len(names)) + keys


PAIR = struct.pack("<2f", 1.0, 2.0)
SOUND = listing(header(2) + PAIR, header(1, 2) + PAIR, names=(b"arg:conv_weight", b"aux:bn_running_mean"))


@pytest.mark.parametrize("name", ZOO)
def test_weights_of_the_model_zoo_give_its_logits(folder: Path, name: str):
    with np.load(folder / f"{name}.npz") as answer:
        images, logits = answer["images"], answer["logits"]
    options = {} if name.startswith("resnet") else {"fc": (32, 32)}
    net = network(ZOO[name], input=images.shape[1:], classes=7, **options)
    model = pytorch.build(net, gluon.from_zoo(net, arrays_in(folder / f"{name}.params"))).eval()
    with torch.inference_mode():
        found = model(torch.from_numpy(images)).numpy()
    assert np.abs(found - logits).max() <= 1e-5 * np.abs(logits).max()
    assert logits.std() > 1e-3


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet20_cifar"])
def test_weights_of_our_own_gluon_models_come_back_exactly(folder: Path, name: str):
    net = narrow(name, CATALOG[name])
    saved = gluon.from_model(net, arrays_in(folder / f"{name}.params"))
    exported = gluon.from_symbol(net, arrays_in(folder / f"{name}-0000.params"))
    for key, array in sample_weights(net).items():
        assert np.array_equal(saved[key], array)
        assert np.array_equal(exported[key], array)


def test_names_are_those_of_gluon_and_of_the_module_checkpoints():
    d, normed, small = network("D"), network("vgg11_bn"), network("resnet18")
    assert gluon.symbol_names(d)["conv1_1.weight"] == "conv1_1_weight"
    assert gluon.symbol_names(d)["fc6.bias"] == "fc6_bias"
    assert gluon.zoo_names(d)["conv5_3.weight"] == "features.28.weight"
    assert [gluon.zoo_names(d)[f"fc{number}.weight"] for number in (6, 7, 8)] == [
        "features.31.weight",
        "features.33.weight",
        "output.weight",
    ]
    assert gluon.zoo_names(normed)["bn1_1.weight"] == "features.1.gamma"
    assert gluon.zoo_names(small)["conv3_1s.weight"] == "features.5.0.downsample.0.weight"
    assert gluon.model_names(normed)["bn1_1.bias"] == "block1.bn1_1.beta"


OTHERS = ("resnet50", "vgg16_1x1", "googlenet_bn", "alexnet_2012", "lenet5")


@pytest.mark.parametrize("net", [*map(network, OTHERS), network("D", fc=(64,))], ids=lambda net: net.name)
def test_a_network_that_the_zoo_does_not_have_is_refused(net: Network):
    with pytest.raises(WeightsError, match=f"{net.name} has no form in Gluon's model zoo") as caught:
        gluon.zoo_names(net)
    assert caught.value.code == "WEIGHTS-NO-FORM"


def test_numbers_of_all_floating_types_and_both_versions_are_read(folder: Path):
    types = arrays_in(folder / "types")
    assert {name: array.dtype.str for name, array in types.items()} == {"half": "<f2", "single": "<f4", "double": "<f8"}
    assert all(array.tolist() == [[1.0, 2.0, 3.0]] for array in types.values())
    assert {name: array.tolist() for name, array in arrays_in(folder / "numpy").items()} == {
        "scalar": 3.0,
        "row": [1.0, 2.0],
    }


@pytest.mark.parametrize(
    ("file", "code", "words"),
    [
        ("whole", "WEIGHTS-DTYPE", "array 1 holds no floating-point numbers"),
        ("sparse", "WEIGHTS-FORMAT", "array 1 is sparse"),
        ("nameless", "WEIGHTS-FORMAT", "its arrays have no names"),
    ],
)
def test_what_are_no_weights_is_refused(folder: Path, file: str, code: str, words: str):
    with pytest.raises(WeightsError, match=words) as caught:
        arrays_in(folder / file)
    assert caught.value.code == code


def test_files_from_before_2018_are_read():
    first = struct.pack("<Iiqqiii", 0xF993FAC8, 2, 1, 2, 1, 0, 0) + PAIR
    oldest = struct.pack("<IIIiii", 2, 2, 1, 2, 0, 0) + PAIR  # two axes, and no magic number
    arrays, _ = parse(io.BytesIO(listing(first, oldest, names=(b"first", b"oldest"))))
    assert {name: array.tolist() for name, array in arrays.items()} == {"first": [[1, 2]], "oldest": [[1], [2]]}


def test_a_file_cut_anywhere_is_refused():
    assert list(parse(io.BytesIO(SOUND))[0]) == ["conv_weight", "bn_running_mean"]
    for length in range(len(SOUND)):
        with pytest.raises(WeightsError) as caught:
            parse(io.BytesIO(SOUND[:length]))
        assert caught.value.code == "WEIGHTS-CORRUPT"


def test_no_changed_byte_does_more_than_change_a_number_or_a_name():
    for place in range(len(SOUND)):
        for bit in range(8):
            changed = bytearray(SOUND)
            changed[place] ^= 1 << bit
            try:
                arrays, _ = parse(io.BytesIO(changed))
            except WeightsError:
                continue
            assert sorted(array.size for array in arrays.values()) == [2, 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x13" + SOUND[1:], "does not begin as an MXNet file does"),
        (SOUND + b"\0", "1 bytes follow the names"),
        (listing(header(2) + PAIR, count=2**60), "claims 1152921504606846976 arrays"),
        (listing(header(2**40, 2**40) + PAIR), "ends .* bytes too early"),
        (listing(header(2, -1) + PAIR), "array 1 is 2 x -1"),
        (listing(header(0) + PAIR), "array 1 is 0"),
        (listing(header() + PAIR), "array 1 has 0 axes"),
        (listing(header(*[1] * 9) + PAIR), "array 1 has 9 axes"),
        (listing(header(2) + PAIR, names=(b"x", b"y")), "1 arrays and 2 different names"),
        (listing(header(2) + PAIR, header(2) + PAIR, names=(b"arg:x", b"x")), "2 arrays and 1 different names"),
        (listing(header(2) + PAIR, names=(b"x" * 501,)), "a name of 501 bytes"),
        (listing(header(2) + PAIR, names=(b"a\nb",)), "is no name"),
        (listing(header(2) + PAIR, names=(b"\xff\x00",)), "is no name"),
    ],
)
def test_claims_that_cannot_be_are_refused(content: bytes, words: str):
    with pytest.raises(WeightsError, match=words) as caught:
        parse(io.BytesIO(content))
    assert caught.value.code == "WEIGHTS-CORRUPT"
