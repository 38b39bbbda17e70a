"""`verydeep bench` as a command: what it prints and writes, and what it refuses before anything is built."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import command, environment
from verydeep.benchmark.engines.catalog import ENGINES, PRECISIONS
from verydeep.cli.bench import ENGINES as ENGINES_IN_HELP
from verydeep.families.vgg import vgg
from verydeep.weights import canonical
from verydeep.weights.initial import initial


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    network = vgg(((1, 4), (1, 6)), input=(1, 8, 8), classes=5, fc=(7,))
    path = tmp_path_factory.mktemp("bench") / "model.safetensors"
    canonical.save(path, network=network, weights=initial(network))
    return path


def test_engines_are_measured_and_written(process, model, tmp_path):
    done = process(
        *("bench", model, "--engines", "torch", "--calls", 2, "--threads", 1, "--size", "12x9"),
        *("--out", tmp_path / "out", "--format", "json"),
        cwd=tmp_path,
    )
    assert (done.code, done.err) == (0, "")
    record = json.loads(done.out)
    (row,) = record["engines"]
    assert (row["engine"], row["height"], row["width"]) == ("torch", 12, 9)
    assert 0 < row["error"] < 1e-5
    assert record["command"].startswith("verydeep bench ")
    assert record == json.loads((tmp_path / "out" / "bench.json").read_text())
    assert "| torch | float32 |" in (tmp_path / "out" / "bench.md").read_text()
    assert "<svg" in (tmp_path / "out" / "bench.svg").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--engines", "openvin"), "Did you mean openvino?"),
        (("--engines", "torch", "--precision", "int8"), "ENGINE-UNAVAILABLE"),
        (("--engines", ","), "no engine is named"),
        (("--precision", "fp16"), "PRECISION-UNKNOWN"),
        (("--calls", 0), "calls must lie between"),
        (("--batch", "0"), "--batch is '0'"),
        (("--batch", "1,b"), "OPTION-VALUE"),
        (("--size", "4"), "takes no images of 4x4"),
        (("--size", "8xx"), "HEIGHTxWIDTH"),
        (("--threads", 0), "threads must lie between"),
        (("--training", "--protocols"), "--training and --protocols do not go together"),
        (("--training", "--engines", "torch"), "--training and --engines do not go together"),
        (("--recipe", "sprint"), "--recipe is for --training"),
        (("--tap", "relu1_1"), "--tap is for --protocols"),
        (("--protocols", "--recipe", "sprint"), "--protocols and --recipe do not go together"),
        (("--protocols", "--size", "300"), "--protocols and --size do not go together"),
        (("--training", "--size", "32,64"), "--size has 2 values here"),
        (("--protocols",), "has no layer 'relu3_3' for --tap"),
        (("--training", "--size", "32x64"), "--training takes squares"),
        (("--training", "--recipe", "fashon"), "Did you mean fashion?"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(refused, model, words, said):
    named = () if "--training" in words else (model,)
    assert said in refused("bench", *named, *words)


def test_a_network_that_is_none_is_refused_with_the_nearest(refused):
    assert "vgg16" in refused("bench", "vgg161")


def test_a_file_named_by_out_is_refused_before_anything_is_measured(refused, in_an_empty_folder, model):
    (in_an_empty_folder / "out").write_text("mine")
    assert "is not a folder" in refused("bench", model, "--out", "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_one_line_and_leaves_no_process_and_no_file(model, tmp_path, number):
    words = command("bench", model, "--engines", "torch", "--calls", 100_000)
    (tmp_path / "temporary").mkdir()
    variables = environment(TMPDIR=str(tmp_path / "temporary"))
    running = subprocess.Popen(words, env=variables, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    if not children.exists():
        running.kill()
        running.communicate()
        pytest.skip("no /proc")
    end = time.monotonic() + 60
    while not list((tmp_path / "temporary").glob("verydeep-bench-*")) and time.monotonic() < end:
        time.sleep(0.02)
    while not children.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    started = children.read_text().split()
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said.count("\n")) == (128 + number, 1), said
    assert "INTERRUPTED" in said
    assert started
    end = time.monotonic() + 10  # one that was just being started ends when it finds that nobody asks
    while any(Path(f"/proc/{child}").exists() for child in started) and time.monotonic() < end:
        time.sleep(0.02)
    assert not [child for child in started if Path(f"/proc/{child}").exists()]
    assert not list((tmp_path / "temporary").glob("verydeep-bench-*"))


def test_its_help_names_every_engine_and_precision(verydeep):
    shown = "".join(verydeep("bench", "--help").out.replace("│", " ").split())  # lines are broken at hyphens too
    for name in (*ENGINES, *PRECISIONS):
        assert name in shown
    assert ", ".join(ENGINES) == ENGINES_IN_HELP
