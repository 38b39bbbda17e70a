"""`list`, `show`, `compare`, `code` and `doctor`: what is said of networks and of this machine."""

import json
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from verydeep import spec_json
from verydeep.families.catalog import CATALOG
from verydeep.families.vgg import vgg

PARAMETERS = {"A": 132_863_336, "B": 133_047_848, "C": 133_638_952, "D": 138_357_544, "E": 143_667_240}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["list"], set(CATALOG)),
        (["list", "networks"], set(CATALOG)),
        (["list", "VGG1?"], {"vgg11", "vgg13", "vgg16", "vgg19"}),
        (["list", "networks", "*_cifar"], {name for name in CATALOG if name.endswith("_cifar")}),
        (["list", "data", "*mnist"], {"mnist", "fashion-mnist"}),
        (["list", "recipes", "m*"], {"mnist"}),
    ],
)
def test_a_list_holds_what_matches_in_every_format(verydeep, words, names):
    assert {row["name"] for row in json.loads(verydeep(*words, "--format", "json").out)} == names
    text = verydeep(*words).out.splitlines()
    assert {line.split()[0] for line in text[2:]} == names
    markdown = verydeep(*words, "--format", "markdown").out.splitlines()
    assert {line.split("|")[1].strip() for line in markdown[2:]} == names


def test_the_list_of_networks_has_the_papers_names_and_exact_counts(verydeep):
    rows = {row["paper"]: row for row in json.loads(verydeep("list", "--format", "json").out)}
    assert {letter: rows[letter]["params"] for letter in PARAMETERS} == PARAMETERS


@pytest.mark.parametrize("name", ["netwroks", "dat", "recipe"])
def test_a_misspelt_kind_is_answered_with_the_nearest_one(refused, name):
    assert "Did you mean " in refused("list", name)


def test_a_pattern_without_a_match_says_what_lists_all(refused):
    assert "no recipes match 'x*'. `verydeep list recipes` shows all." in refused("list", "recipes", "x*")


@pytest.mark.parametrize("name", PARAMETERS)
def test_show_has_the_keys_of_the_contract_and_exact_integers(verydeep, name):
    shown = json.loads(verydeep("show", name, "--format", "json").out)
    assert {"params", "params_conv", "params_fc", "macs", "flops", "layers"} <= set(shown)
    assert shown["params"] == PARAMETERS[name] == shown["params_conv"] + shown["params_fc"]
    assert shown["params"] == sum(layer["params"] for layer in shown["layers"])
    assert shown["macs"] == sum(layer["macs"] for layer in shown["layers"]) == shown["flops"] // 2
    for layer in shown["layers"]:
        assert {"block", "name", "kind", "shape", "params", "macs", "receptive_field", "step"} <= set(layer)
        assert all(type(layer[key]) is int for key in ("params", "macs", "receptive_field", "step"))
    last = shown["layers"][-1]
    assert (last["name"], last["shape"], last["receptive_field"], last["step"])[:2] == ("fc8", [1000])


def test_options_make_a_network_thinner_smaller_or_grey(verydeep):
    words = ("--width", "0.25", "--size", "32", "--channels", "1", "--classes", "10", "--fc", "64", "32")
    shown = json.loads(verydeep("show", "A", *words, "--format", "json").out)
    network = CATALOG["vgg11"](width=0.25, input=(1, 32, 32), classes=10, fc=(64, 32))
    # By hand: 3x3 kernels over 1 16 32 64 64 128 128 128 128 channels with biases, then 128 -> 64 -> 32 -> 10.
    widths = (1, 16, 32, 64, 64, 128, 128, 128, 128)
    conv = sum(9 * a * b + b for a, b in pairwise(widths))
    assert (shown["input"], shown["params_conv"]) == ([1, 32, 32], conv)
    assert shown["params_fc"] == 129 * 64 + 65 * 32 + 33 * 10
    assert shown["layers"][-1]["shape"] == [network.classes]


def test_at_28_pixels_pool5_is_left_out_and_show_says_so(verydeep):
    assert "pool5 is left out: its 2x2 window does not fit the 1x1 map" in verydeep("show", "D", "--size", "28").out


def test_the_dense_form_keeps_its_weights_at_any_size(verydeep):
    shown = json.loads(verydeep("show", "D", "--size", "256", "341", "--form", "dense", "--format", "json").out)
    assert (shown["input"], shown["params"], shown["params_fc"]) == ([3, 256, 341], PARAMETERS["D"], 0)
    assert shown["layers"][-1]["shape"] == [1000, 2, 4]


@pytest.mark.parametrize("name", ["D", "googlenet", "resnet18"])
def test_the_drawing_is_valid_xml(verydeep, name):
    drawing = ElementTree.fromstring(verydeep("show", name, "--format", "svg").out)
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"


def test_a_network_goes_through_its_file_unchanged(verydeep, in_an_empty_folder):
    assert verydeep("show", "C", "--format", "spec", "--out", "net.json").out == ""
    assert spec_json.loads((in_an_empty_folder / "net.json").read_text()) == CATALOG["vgg16_1x1"]()
    assert verydeep("show", "net.json").out == verydeep("show", "C").out


def test_show_reads_a_run_folder_and_its_model(verydeep, digits_run):
    by_folder = json.loads(verydeep("show", digits_run, "--format", "json").out)
    assert by_folder["params"] == 9 * 4 + 4 + 9 * 4 * 8 + 8 + (2 * 2 * 8 + 1) * 10
    assert verydeep("show", digits_run / "model.safetensors").out == verydeep("show", digits_run).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vgg61"], "no network is called 'vgg61'. Did you mean"),
        (["x" * 10_000], "no network is called"),
        (["missing.json"], "missing.json cannot be read: No such file or directory. Name a network"),
        (["."], "network.json cannot be read: No such file"),
        (["D", "--size", "1", "2", "3"], "--size has 3 numbers. Give --size N, or --size HEIGHT WIDTH."),
        (["D", "--size", "-1"], "height must be a whole number of at least 1, not -1"),
        (["D", "--size", "9" * 30], "height must be at most"),
        (["D", "--size", "6.5"], "Invalid value for --size: '6.5' is not a whole number"),
        (["D", "--classes", "ten"], "Invalid value for --classes: 'ten' is not a whole number"),
        (["D", "--classes", "0"], "features must be a whole number of at least 1, not 0"),
        (["D", "--width", "nan"], "width is a factor above 0 and at most 64, not nan"),
        (["D", "--width", "0"], "width is a factor above 0"),
        (["D", "--dropout", "1"], "a rate of 1 would drop everything"),
        (["D", "--dropout", "inf"], "rate must be a number between 0 and 1, not inf"),
        (["lenet5", "--fc", "10"], "lenet5 has no option 'fc'"),
        (["resnet18", "--size", "8", "--form", "dense"], "does not fit"),
        (["D", "--out", "missing/a.txt"], "--out missing/a.txt cannot be written: No such file or directory"),
        (["D", "--out", "."], "--out . cannot be written: Is a directory"),
    ],
)
def test_a_network_that_cannot_be_is_refused(refused, words, said):
    assert said in refused("show", *words)


@pytest.mark.parametrize("name", [name + name[-1] for name in ("vgg16", "alexnet", "googlenet", "resnet50", "lenet5")])
def test_a_misspelt_network_is_answered_with_the_nearest_one(refused, name):
    assert f"Did you mean {name[:-1]}" in refused("show", name)


def test_a_finished_network_takes_no_options(refused, digits_run):
    assert "is a finished network and takes no options" in refused("show", digits_run, "--classes", "5")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema": 1, "name": 3}', "\0", "[" * 100_000, '"\ud83d'])
def test_a_file_that_is_no_network_is_refused(refused, in_an_empty_folder, text):
    (in_an_empty_folder / "net.json").write_bytes(text.encode(errors="surrogatepass"))
    assert "net.json" in refused("show", "net.json")


def test_compare_puts_networks_side_by_side_in_every_format(verydeep):
    rows = json.loads(verydeep("compare", "alexnet", "vgg16", "--format", "json").out)
    assert "138,357,544" in verydeep("compare", "alexnet", "vgg16").out
    assert "138,357,544" in verydeep("compare", "alexnet", "vgg16", "--format", "markdown").out
    assert "138357544" in json.dumps(rows)
    assert "conv3-512" in verydeep("compare", "A", "D", "--format", "table1").out
    assert "conv1-512" in verydeep("compare", "C", "--format", "table1").out


def test_nothing_to_compare_shows_how(refused):
    assert "Try `verydeep compare alexnet vgg16`." in refused("compare")
    assert "no network is called 'nothing'" in refused("compare", "alexnet", "nothing")


def isolated(*words: str) -> str:
    """What Python prints that sees neither this folder nor this package."""
    done = subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_the_code_of_column_d_runs_on_its_own(verydeep, in_an_empty_folder):
    verydeep("code", "D", "--width", "0.0625", "--size", "32", "--classes", "7", "--fc", "16", "--out", "net.py")
    source = (in_an_empty_folder / "net.py").read_text()
    assert "import verydeep" not in source
    assert "from verydeep" not in source
    assert isolated("net.py").endswith("(2, 7)\n")
    counting = "import runpy; print(sum(p.numel() for p in runpy.run_path('net.py')['vgg16']().parameters()))"
    counted = isolated("-c", counting)
    words = ("D", "--width", "0.0625", "--size", "32", "--classes", "7", "--fc", "16")
    assert int(counted) == json.loads(verydeep("show", *words, "--format", "json").out)["params"]


def test_a_network_of_ones_own_is_described_from_its_file(verydeep, in_an_empty_folder):
    network = vgg(((1, 4), (1, 8)), input=(1, 8, 8), classes=3, fc=())
    (in_an_empty_folder / "net.json").write_text(spec_json.dumps(network))
    assert "conv2_1" in verydeep("code", "net.json").out
    assert "conv2_1" in verydeep("show", "net.json").out


def test_doctor_answers_in_text_and_json(verydeep):
    text, record = verydeep("doctor"), verydeep("doctor", "--format", "json")
    assert text.code == record.code == 0, text.out
    findings = json.loads(record.out)
    assert all(set(finding) == {"name", "status", "detail", "fix"} for finding in findings)
    assert [line.split()[0] for line in text.out.splitlines() if not line.startswith(" ")] == [
        finding["status"] for finding in findings
    ]


def test_doctor_fails_where_something_does(verydeep, monkeypatch):
    monkeypatch.setenv("VERYDEEP_DATA", "/nowhere/at/all")
    done = verydeep("doctor")
    assert done.code == 6
    assert "fail" in done.out
    assert "-> Correct or unset VERYDEEP_DATA." in done.out
