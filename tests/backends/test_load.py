"""Weights from anywhere into a model: found by content, all or nothing."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from verydeep.backends.check import sample_weights
from verydeep.backends.load import load_weights
from verydeep.backends.pytorch import build, get_weights, tensors
from verydeep.errors import ConfigError, WeightsError
from verydeep.families.catalog import network
from verydeep.rewrite.cut import with_head
from verydeep.weights import canonical
from verydeep.weights.initial import initial
from verydeep.weights.torchvision import to_torchvision


def small(name="A_bn", **options):
    head = {} if name.startswith("resnet") else {"fc": (8, 8)}
    return network(name, **{"input": (3, 32, 32), "width": 1 / 16, "classes": 4, **head, **options})


NET = small()
WEIGHTS = sample_weights(NET)


def untrained(net=NET):
    return build(net, initial(net, seed=9))


def digest(model):
    return hashlib.sha256(b"".join(array.tobytes() for array in get_weights(model).values())).hexdigest()


def as_tensors(arrays):
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def sources(folder):
    """Every way to hand over the weights, and the format that it is."""
    folder.mkdir()
    trained = build(NET, WEIGHTS)
    yield "canonical", WEIGHTS
    yield "canonical", as_tensors(WEIGHTS)
    yield "model", trained.state_dict()
    yield "torchvision", to_torchvision(NET, WEIGHTS)
    canonical.save(folder / "ours", network=NET, weights=WEIGHTS)
    yield "canonical", folder / "ours"
    save_file(WEIGHTS, folder / "plain")
    yield "canonical", str(folder / "plain")
    save_file(to_torchvision(NET, WEIGHTS), folder / "theirs")
    yield "torchvision", folder / "theirs"
    torch.save(trained.state_dict(), folder / "model")
    yield "model", folder / "model"
    torch.save(as_tensors(to_torchvision(NET, WEIGHTS)), folder / "old", _use_new_zipfile_serialization=False)
    yield "torchvision", folder / "old"


def refusal(model, source, **options):
    before = digest(model)
    with pytest.raises(WeightsError) as raised:
        load_weights(model, source, **options)
    assert digest(model) == before
    assert isinstance(source, dict) or str(source) in raised.value.message
    return raised.value


def test_every_source_is_recognised_and_loaded_exactly(tmp_path):
    for expected, source in sources(tmp_path / "files"):
        for format in (None, expected):
            model = untrained()
            assert load_weights(model, source, format=format).format == expected
            found = get_weights(model)
            assert all(np.array_equal(found[name], array) for name, array in WEIGHTS.items())


def test_the_name_of_the_file_plays_no_part(tmp_path):
    for _, source in list(sources(tmp_path / "files"))[4:]:
        content = Path(source).read_bytes()
        for suffix in (".pth", ".safetensors", ".h5", ".txt", ""):
            renamed = tmp_path / f"renamed{suffix}"
            renamed.write_bytes(content)
            load_weights(untrained(), renamed)


def test_a_residual_network_is_not_taken_for_another_format():
    net = small("resnet18")
    weights = sample_weights(net)
    for expected, state in (
        ("canonical", weights),
        ("model", build(net, weights).state_dict()),
        ("torchvision", to_torchvision(net, weights)),
    ):
        model = untrained(net)
        assert load_weights(model, state).format == expected
        assert all(np.array_equal(array, weights[name]) for name, array in get_weights(model).items())


def test_lower_precision_is_taken_exactly_and_float64_rounded(tmp_path):
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        state = {name: torch.from_numpy(array).to(kind) for name, array in WEIGHTS.items()}
        torch.save(state, tmp_path / "w.pth")
        for source in (state, tmp_path / "w.pth"):
            model = untrained()
            load_weights(model, source)
            assert all(torch.equal(tensor, state[name].float()) for name, tensor in tensors(model).items())


def test_missing_unknown_and_transposed_keys_are_named_and_the_model_is_unchanged(tmp_path):
    model = untrained()
    state = as_tensors(to_torchvision(NET, WEIGHTS))
    key = "classifier.6.weight"
    for number, (wrong, text) in enumerate(
        (
            ({name: tensor for name, tensor in state.items() if name != key}, f"missing: {key}"),
            ({**state, "features.99.bias": torch.zeros(1)}, "unknown: features.99.bias"),
            ({**state, key: state[key].T.contiguous()}, f"{key} is (8, 4), not (4, 8)"),
            ({**state, key: torch.full((4, 8), torch.nan)}, "fc8.weight: 32 of 32 values are NaN"),
            ({**state, key: torch.zeros(4, 8, dtype=torch.int32)}, "fc8.weight holds int32"),
        )
    ):
        path = tmp_path / str(number)
        torch.save(wrong, path)
        assert text in refusal(model, wrong).message
        assert text in refusal(model, path).message


def test_other_classes_are_refused_and_the_way_is_told():
    wide = with_head(NET, classes=1000)
    error = refusal(untrained(), sample_weights(wide))
    assert "fc8.weight is (1000, 8), not (4, 8), fc8.bias is (1000,), not (4,)" in error.message
    assert "build vgg11_bn with classes=1000, load, then change its head" in error.hint


def test_more_than_other_classes_is_not_called_that():
    for wrong in (
        sample_weights(small(classes=7, fc=(8, 9))),
        {**WEIGHTS, "fc8.weight": WEIGHTS["fc8.weight"].T},
        {**WEIGHTS, "fc7.bias": np.zeros(5, np.float32)},
    ):
        assert "Build the network that they were trained with" in refusal(untrained(), wrong).hint


def test_weights_of_a_known_network_are_called_by_its_name():
    assert "vgg16_bn" in refusal(untrained(), to_torchvision(small("D_bn"), sample_weights(small("D_bn")))).hint
    assert "resnet50" in refusal(untrained(), sample_weights(small("resnet50"))).hint
    assert "resnet50" in refusal(untrained(small("resnet34")), sample_weights(small("resnet50"))).hint


def test_a_prefix_on_all_keys_is_pointed_out():
    error = refusal(untrained(), {f"module.{name}": array for name, array in WEIGHTS.items()})
    assert "All keys begin with 'module.'" in error.hint


def test_names_of_nobody_are_refused():
    error = refusal(untrained(), {"x": np.zeros(1), "y": np.zeros(1)})
    assert "they are called x, y" in error.message
    assert refusal(untrained(), {}).code == "WEIGHTS-FORMAT"


def test_a_format_that_the_weights_have_not_is_refused():
    assert "missing: features.0.weight" in refusal(untrained(), WEIGHTS, format="torchvision").message


def test_an_unknown_format_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no weight format is called 'torchvison'\. Did you mean torchvision"):
        load_weights(untrained(), WEIGHTS, format="torchvison")


def test_files_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    for content, code in (
        (b"", "WEIGHTS-FORMAT"),
        (b"<!DOCTYPE html>", "WEIGHTS-FORMAT"),
        (b"\x89HDF\r\n\x1a\n" + b"0" * 100, "WEIGHTS-CORRUPT"),
    ):
        path.write_bytes(content)
        assert refusal(untrained(), path).code == code
    assert refusal(untrained(), tmp_path / "nowhere").code == "WEIGHTS-UNREADABLE"
    assert refusal(untrained(), tmp_path).code == "WEIGHTS-UNREADABLE"


def test_code_in_a_file_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    assert "contains code" in refusal(untrained(), tmp_path / "model.pth").message


def test_a_damaged_file_of_ours_is_refused_and_not_read_as_a_plain_one(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path, metadata={"verydeep": "{}"})
    assert refusal(untrained(), path).code == "WEIGHTS-RECORD"
