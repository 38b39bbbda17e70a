"""What `train` makes of its options, variables and files, and every way in which they can be wrong."""

from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import yaml

from tests.cli.command import TINY
from verydeep.data.catalog import DATASETS
from verydeep.settings.config import Config
from verydeep.settings.recipes import RECIPES
from verydeep.weights.initial import RULES

HOSTILE = {
    "empty": "",
    "word": "nonsense",
    "unicode": "zehn \N{MULTIPLICATION SIGN} \N{GRINNING FACE}",
    "control": "1\x1b[2J\n2",
    "10 kB": "x" * 10_000,
}
NUMBERS = {
    "negative": "-1",
    "nan": "nan",
    "inf": "inf",
    "minus inf": "-inf",
    "not quite": "1.0.0",
    "10,000 digits": "9" * 10_000,
    "huge": "1e400",
}
NAMES = ("recipe", "net", "arch")  # text that is looked up before anything is read


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _kind(field: str) -> object:
    """The type of a field without its None."""
    annotation = Config.model_fields[field].annotation
    return next((inner for inner in get_args(annotation) if inner is not type(None)), annotation)


def _is_number(field: str) -> bool:
    inner = _kind(field)
    return inner in (int, float) or any(
        part in (int, float) or (get_origin(part) is not None and get_args(part)[0] in (int, float))
        for part in (inner, *get_args(inner))
    )


def _bad_values() -> list[object]:
    """Every option with every kind of value that it cannot have."""
    cases = []
    for field in Config.model_fields:
        annotation = Config.model_fields[field].annotation
        if annotation is bool or field in ("data", "data_root", "device", "grow_from", "start_from"):
            continue  # these are looked up when the data, the device or the run is opened; see below
        values = HOSTILE | NUMBERS if _is_number(field) else HOSTILE
        cases += [pytest.param(field, value, id=f"{field} {name}") for name, value in values.items()]
    return cases


def test_every_field_is_covered():
    fields = {case.values[0] for case in _bad_values()}
    flags = {field for field in Config.model_fields if Config.model_fields[field].annotation is bool}
    assert fields | flags | {"data", "data_root", "device", "grow_from", "start_from"} == set(Config.model_fields)
    assert {field for field in fields if not _is_number(field)} == {
        *NAMES,
        *(field for field in fields if get_origin(Config.model_fields[field].annotation) is Literal),
    }


@pytest.mark.parametrize(("field", "value"), _bad_values())
def test_a_value_that_an_option_cannot_have_is_refused_by_name(refused, field, value):
    words = [value] * 2 if field == "scale" else [value]
    line = refused("train", *(f"{_option(field)}={word}" for word in words))
    assert field in line or _option(field) in line or f"no {field}" in line or "no network" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("field", [field for field in Config.model_fields if _is_number(field)])
def test_yes_and_no_are_no_numbers(refused, in_an_empty_folder, field):
    value = "[true, true]" if field in ("fc", "scale", "milestones") else "yes"
    (in_an_empty_folder / "a.yaml").write_text(f"{field}: {value}\n")
    assert f"a.yaml: {field} is " in refused("train", "--config", "a.yaml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "0"], "epochs is '0': it should be greater than or equal to 1. epochs: Passes over"),
        (["--epochs", "1000001"], "it should be less than or equal to 1000000"),
        (["--epochs", "2.5"], "epochs is '2.5': it should be a valid integer"),
        (["--lr", "1001"], "lr is '1001': it should be less than or equal to 1000."),
        (["--val", "0.9"], "it should be less than 0.9"),
        (["--width", "0"], "it should be greater than 0"),
        (["--width", "65"], "it should be less than or equal to 64"),
        (["--seed", str(2**32)], "it should be less than 4294967296"),
        (["--fc", "0", "5"], "a hidden layer has at least one feature; a single 0 means no hidden layer"),
        (["--arch", "1x0"], "it should be CONVSxCHANNELS of each block"),
        (["--arch", "0x16"], "it should be CONVSxCHANNELS"),
        (["--arch", "1x16,"], "it should be CONVSxCHANNELS"),
        (["--arch", "100x16"], "it should be CONVSxCHANNELS"),
        (["--optimizer", "sdg"], "it should be 'sgd' or 'adamw'"),
        (["--init", "hee"], "it should be 'he', 'torchvision', 'glorot', 'paper', 'caffe' or 'identity'"),
        (["--recipe", "digit"], "no recipe is called 'digit'. Did you mean digits?"),
        (["--net", "vgg61"], "no network is called 'vgg61'. Did you mean"),
        (["--net", "vgg61", "--recipe", "book", "--print-config"], "no network is called 'vgg61'. Did you mean"),
    ],
)
def test_a_refusal_says_value_range_and_meaning(refused, words, said):
    assert said in refused("train", *words)


def test_the_rules_of_initial_weights_are_all_on_offer():
    assert get_args(Config.model_fields["init"].annotation) == tuple(RULES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--net", "D", "--arch", "1x4"], "net D and arch 1x4 are two networks. Give --net or --arch."),
        (["--net", "D", "--batch-norm"], "batch_norm belongs to arch, and net is D. Name a network that has it"),
        (["--accumulate", "65", "--batch", "64"], "accumulate 65 is more pieces than the images of batch 64."),
        (["--scale", "9", "8"], "scale has the lowest side 9 above the highest 8."),
        (["--scale", "8", "9", "--size", "10"], "scale 8 to 9 does not hold a crop of size 10."),
        (["--momentum", "0"], "nesterov is a form of momentum, and momentum is 0."),
        (["--schedule", "steps"], "schedule steps has no milestones."),
        (["--milestones", "5", "8"], "milestones 5 8 belong to schedule steps, and schedule is one-cycle."),
        (["--patience", "3", "--val", "0"], "patience 3 needs validation images, and val is 0."),
        (["--schedule", "plateau", "--val", "0"], "schedule plateau needs validation images, and val is 0."),
        (["digits", "--data", "mnist"], "the data set is digits and also --data mnist. Give one of them."),
    ],
)
def test_settings_that_cannot_both_be_meant_are_refused_with_both_sides(refused, words, said):
    assert said in refused("train", *words)
    assert f"[{'OPTIONS-DISAGREE'}]" in refused("train", *words)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["digts"], 2, "there is no data set 'digts'. Did you mean digits?"),
        (["x" * 10_000], 2, "there is no data set"),
        (["nowhere/at/all"], 3, "searched in nowhere/at/all"),
        (["--scale", "6", "7"], 2, "scale 6 to 7 does not hold a crop of 8"),
        (["--batch", "1"], 2, "has batch norm, which needs at least two images in a batch. Give --batch 2"),
        (["--net", "lenet5"], 2, "a window of 5 does not fit 4x4"),
        (["--net", "lenet5", "--size", "28", "--fc", "9"], 2, "lenet5 has no option 'fc'. It takes"),
        (["--val", "0.0001"], 3, "holding out 0.0001 of 1437 images in 10 classes gives none"),
        (["--device", "tpu"], 2, "device 'tpu' is not here. Devices found: cpu"),
        (["--device", "cuda:99"], 2, "device 'cuda:99' is not here. Devices found: cpu"),
        (["--device", "x" * 10_000], 2, "is not here. Devices found: cpu"),
        (["--grow-from", "nowhere"], 2, "nowhere is no run"),
        (["--start-from", "nowhere"], 2, "nowhere is no run"),
        (["--recipe", "laptop-48", "--data", "digits"], 2, "Give --start-from RUN"),
    ],
)
def test_what_does_not_fit_the_data_or_the_machine_is_refused_before_anything_is_made(refused, words, code, said):
    assert said in refused("train", *words, code=code)


EMBEDDED = ("digits", "synthetic")


@pytest.mark.parametrize(
    "name", [name for name in DATASETS if DATASETS[name].classes is not None and name not in EMBEDDED]
)
def test_missing_data_names_the_file_the_folders_and_both_ways_out(refused, name):
    line = refused("train", name, "--data-root", "/no/such/place", code=3)
    assert "error[DATA-MISSING]" in line
    assert " is missing; searched in /no/such/place" in line
    assert "--data-root DIR" in line
    assert ("or take the official set, cifar10" if name == "cifar10-jpeg" else f"fetch {name} with --download") in line


@pytest.mark.parametrize("name", [f"{name}x" for name in DATASETS])
def test_a_misspelt_data_set_is_answered_with_the_nearest_one(refused, name):
    assert f"Did you mean {name[:-1]}" in refused("train", name)


def test_a_place_that_cannot_be_a_run_folder_is_refused(refused, verydeep, in_an_empty_folder: Path):
    (in_an_empty_folder / "taken").mkdir()
    (in_an_empty_folder / "taken" / "thesis.tex").write_text("years of work")
    (in_an_empty_folder / "file").write_text("")
    (in_an_empty_folder / "link").symlink_to("file")
    assert "--out taken is not empty. Choose another folder, or go on with: verydeep resume taken" in refused(
        "train", "--out", "taken"
    )
    for place in ("file", "file/run", "link", "/proc/run", "/dev/null"):
        assert f"--out {place} cannot be a run folder: " in refused("train", "--out", place)


@pytest.mark.usefixtures("compiled")
def test_an_instruction_set_that_cannot_run_is_refused_before_there_is_a_folder(process, tmp_path):
    done = process("train", "digits", *TINY, "--out", "run", cwd=tmp_path, VERYDEEP_ISA="wrong")
    assert done.code == 2 and "error[ISA-UNAVAILABLE]" in done.err
    assert not (tmp_path / "run").exists()


# Where settings come from


def test_the_file_yields_to_the_environment_and_both_to_the_command_line(verydeep, in_an_empty_folder, monkeypatch):
    (in_an_empty_folder / "a.yaml").write_text("lr: 0.1\nepochs: 11\nbatch: 12\n")
    monkeypatch.setenv("VERYDEEP_EPOCHS", "21")
    monkeypatch.setenv("VERYDEEP_BATCH", "22")
    found = yaml.safe_load(verydeep("train", "--config", "a.yaml", "--batch", "32", "--print-config").out)
    assert (found["lr"], found["epochs"], found["batch"]) == (0.1, 21, 32)
    assert found["recipe"] == "digits"


def test_a_nearer_setting_displaces_what_it_contradicts_farther_away(verydeep, in_an_empty_folder, monkeypatch):
    (in_an_empty_folder / "a.yaml").write_text(
        "arch: 1x4\nbatch_norm: true\nschedule: steps\nmilestones: [3]\nmomentum: 0.5\n"
    )
    words = ("train", "--config", "a.yaml", "--print-config")
    found = yaml.safe_load(verydeep(*words, "--net", "D", "--schedule", "cosine").out)
    assert (found["net"], found["arch"], found["batch_norm"], found["milestones"]) == ("D", None, False, [])
    assert found["momentum"] == 0.5
    monkeypatch.setenv("VERYDEEP_NET", "E")
    assert yaml.safe_load(verydeep(*words).out)["net"] == "E"
    assert yaml.safe_load(verydeep(*words, "--arch", "2x4").out)["arch"] == "2x4"


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "words",
    [
        [],
        [
            "--net",
            "E_bn",
            "--width",
            "0.1",
            "--fc",
            "8",
            "4",
            "--dropout",
            "0.25",
            "--size",
            "64",
            "--scale",
            "64",
            "80",
        ],
        ["--arch", "1x4,2x8", "--fc", "0", "--no-flip", "--no-nesterov", "--seed", "7", "--data-root", "a b"],
        ["--schedule", "steps", "--milestones", "3", "5", "--lr", "1e-5", "--weight-decay", "0", "--device", "cuda:3"],
    ],
)
def test_a_printed_config_given_back_prints_the_same_text(verydeep, in_an_empty_folder, recipe, words):
    printed = verydeep("train", "mnist", "--recipe", recipe, *words, "--print-config")
    assert printed.code == 0, printed.err
    (in_an_empty_folder / "a.yaml").write_text(printed.out)
    assert verydeep("train", "--config", "a.yaml", "--print-config").out == printed.out


def test_printing_a_config_makes_no_file(verydeep, in_an_empty_folder):
    verydeep("train", "--print-config")
    assert list(in_an_empty_folder.iterdir()) == []


@pytest.mark.parametrize("value", ["8 4", "8,4", "[8, 4]", " 8, 4 "])
def test_a_variable_may_hold_a_list(verydeep, monkeypatch, value):
    monkeypatch.setenv("VERYDEEP_FC", value)
    assert yaml.safe_load(verydeep("train", "--print-config").out)["fc"] == [8, 4]


@pytest.mark.parametrize("field", [field for field in Config.model_fields if field != "data"])
def test_a_misspelt_variable_is_answered_with_the_nearest_one(refused, monkeypatch, field):
    right = "VERYDEEP_DATA" if field == "data_root" else f"VERYDEEP_{field.upper()}"
    wrong = f"VERYDEEP_{field.upper()}{field[-1].upper()}"
    monkeypatch.setenv(wrong, "1")
    assert f"there is no option for the variable {wrong}. Did you mean {right}?" in refused("train")


def test_a_variable_of_another_program_is_left_alone(verydeep, monkeypatch):
    monkeypatch.setenv("VERYDEEP_HOME", "/opt/verydeep")
    assert verydeep("train", "--print-config").code == 0


def test_a_wrong_variable_is_named(refused, monkeypatch):
    monkeypatch.setenv("VERYDEEP_LR", "[")
    assert "VERYDEEP_LR: lr is '[': it should be a valid number" in refused("train")


@pytest.mark.parametrize("field", Config.model_fields)
def test_a_misspelt_key_of_a_file_is_answered_with_the_nearest_one(refused, in_an_empty_folder, field):
    (in_an_empty_folder / "a.yaml").write_text(f"{field}{field[-1]}: 1\n")
    assert f"a.yaml: there is no option '{field}{field[-1]}'. Did you mean {field}?" in refused(
        "train", "--config", "a.yaml"
    )


LAUGHS = "\n".join(["a: &a [1, 1]", *(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}]" for a, b in ("ab", "bc", "cd"))])
BOMB = "[1]"
for number in range(40):  # unfolded it would have a trillion elements
    BOMB = f"[&y{number} {BOMB}, *y{number}]"


@pytest.mark.parametrize(
    "text",
    [
        "lr: !!python/object/apply:os.system ['touch hacked']",
        "lr: !!python/name:os.system",
        "!include /etc/passwd",
        "lr: ${HOME}",
        f"lr: {BOMB}",
        f"fc: {BOMB}",
        f"? {BOMB}\n: 1",
        LAUGHS,
        "lr: &lr [*lr]",
        "lr: " + "[" * 20_000,
        "lr: " + "{a: " * 20_000,
        "lr: 1\n" * 20_000,
        "- lr: 1",
        "lr",
        "lr: [",
        "lr: 1\n\tbatch: 2",
        "\x00",
        "1: 2",
        "? [1, 2]\n: 3",
        "x" * 99_000 + ": 1",
        "lr: '" + "x" * 99_000 + "'",
        "lr: 0.1\n---\nlr: 0.2",
    ],
    ids=range(22),
)
def test_a_hostile_file_is_refused_quickly(refused, in_an_empty_folder, text):
    (in_an_empty_folder / "a.yaml").write_text(text)
    assert "a.yaml" in refused("train", "--config", "a.yaml")


@pytest.mark.parametrize("name", ["missing.yaml", ".", "/dev/zero", "/proc/self/mem"])
def test_a_file_that_cannot_be_read_is_refused(refused, name):
    assert "error[CONFIG-FILE]" in refused("train", "--config", name)


def test_a_file_that_is_not_text_is_refused_and_a_byte_order_mark_is_not(refused, verydeep, in_an_empty_folder):
    (in_an_empty_folder / "a.yaml").write_bytes(b"lr: \xff\xfe")
    assert "a.yaml is not YAML" in refused("train", "--config", "a.yaml")
    (in_an_empty_folder / "a.yaml").write_bytes(b"\xef\xbb\xbflr: 0.125\r\n")
    assert yaml.safe_load(verydeep("train", "--config", "a.yaml", "--print-config").out)["lr"] == 0.125


# Rehearsal


def test_a_dry_run_says_what_a_run_needs_and_leaves_nothing(verydeep, in_an_empty_folder):
    done = verydeep(
        "train", "--arch", "1x4", "--fc", "0", "--workers", "0", "--device", "cpu", "--dry-run", "--out", "a"
    )
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == ["data", "network", "memory", "disk", "step"]
    assert "1,293 training images, 144 held out, 360 test images, 10 classes" in done.out
    assert list(in_an_empty_folder.iterdir()) == []
