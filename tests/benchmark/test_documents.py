"""What is printed and written of a benchmark: all that is known, nothing that is not."""

import json
from xml.etree import ElementTree

import pytest

from tests.benchmark.tiny import NETWORK, around, found, row
from verydeep.benchmark import documents
from verydeep.benchmark.protocols import ProtocolBench, ProtocolRow
from verydeep.benchmark.training import TrainingBench, TrainingRow
from verydeep.errors import ConfigError

ENGINES = found(
    row("verydeep", median_ms=44.04, min_ms=40.0, image_ms=44.04, ratio=3.104, error=2.1e-6, peak_mb=900.0),
    row("torch", median_ms=136.7, min_ms=125.0, image_ms=136.7, ratio=1.0, error=1e-6, peak_mb=1200.4, version="2.15"),
    row("ncnn", failed="unavailable: ncnn is not installed; run: pip install ncnn"),
    row("openvino", failed="it was killed (SIGKILL): most likely there was not enough memory"),
    warnings=("the machine was not idle",),
    command="verydeep bench D",
)
SWEEP = found(*(row("torch", size, batch, image_ms=2.0, median_ms=4.0) for size in (8, 16) for batch in (1, 2)))
TRAINING = TrainingBench(
    (
        TrainingRow("verydeep", "quick", "vgg", "bf16", 128, 28, 28, 50.0, 48.0, 2560.0, 1.31),
        TrainingRow("torch-channels-last", "quick", "vgg", "bf16", 128, 28, 28, 65.5, 60.0, 1954.0, 1.0),
        TrainingRow("verydeep", "sprint", "vgg", "bf16", 128, 28, 28, 50.0, 48.0, 2560.0, 1.02),
        TrainingRow("torch", "quick", "vgg", "bf16", 128, 28, 28, failed="it died by SIGILL"),
    ),
    around(),
)
PROTOCOLS = ProtocolBench(
    NETWORK,
    (256, 384, 512),
    "relu3_3",
    (
        ProtocolRow("torch", "dense", 2000.0, 1900.0, 0.145),
        ProtocolRow("torch", "crops", 13793.0, 13000.0),
        ProtocolRow("torch", "features", 55.0, 50.0, 1.1, peak_mb=700.0),
        ProtocolRow("torch", "cut", failed="it died by SIGBUS"),
    ),
    around(),
)
ALL = (ENGINES, SWEEP, TRAINING, PROTOCOLS)


def test_the_table_says_times_ratio_error_and_memory():
    lines = documents.text(ENGINES, format="text").splitlines()
    assert lines[0] == "vgg, 1 image of 8x8, 2 threads"
    rows = {line.split()[0]: line.split() for line in lines[4:8]}
    assert rows["verydeep"] == ["verydeep", "float32", "44.04", "40.00", "44.04", "3.10x", "2.1e-06", "900"]
    assert rows["torch"][-1] == "1,200"
    assert rows["ncnn"][2:] == ["unavailable", *["-"] * 5]
    assert rows["openvino"][2:] == ["failed", *["-"] * 5]


def test_why_a_row_has_no_time_stands_below():
    text = documents.text(ENGINES, format="text")
    assert "ncnn float32 is unavailable: ncnn is not installed; run: pip install ncnn" in text
    assert "openvino float32 failed: it was killed (SIGKILL)" in text


def test_what_fell_back_and_who_did_not_rest_is_marked():
    marked = found(row("verydeep", median_ms=1.0, fallbacks=("norm1: pytorch", "fc8: pytorch"), restless=True))
    text = documents.text(marked, format="text")
    assert "verydeep float32: PyTorch computes 2 steps: norm1: pytorch; fc8: pytorch" in text
    assert "verydeep float32: its threads went on in the turns of others" in text


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_warnings_processor_and_command_are_told(format):
    text = documents.text(ENGINES, format=format)
    for told in ("warning: the machine was not idle", "A processor (avx2), 2 processors", "verydeep bench D", "2.15"):
        assert told in text
    assert "others used 0.0 of them before and - during the run" in text


def test_each_point_has_a_table_of_its_own():
    text = documents.text(SWEEP, format="markdown")
    assert text.count("| engine |") == 4
    assert "vgg, 2 images of 16x16, 2 threads" in text


def test_training_says_the_least_ratio_of_ours():
    text = documents.text(TRAINING, format="text")
    assert "the least ratio of ours is 1.02x, with recipe sprint" in text
    assert "quick: torch failed: it died by SIGILL" in text
    assert "2,560" in text


def test_protocols_are_two_tables():
    text = documents.text(PROTOCOLS, format="text")
    assert "at Q = 256, 384, 512 with its mirror: dense, and as 150 crops" in text
    assert "0.145" in text
    assert "features at relu3_3" in text
    assert "torch cut failed: it died by SIGBUS" in text


@pytest.mark.parametrize("bench", ALL)
def test_json_is_the_record_with_its_engines(bench):
    record = json.loads(documents.text(bench, format="json"))
    assert record == json.loads(json.dumps(bench.to_json()))
    for entry in record["engines"]:
        assert {"engine", "median_ms", "min_ms", "error", "ratio", "peak_mb"} <= set(entry)


@pytest.mark.parametrize("bench", ALL)
def test_the_figure_is_svg_and_names_every_engine_that_ran(bench):
    figure = documents.svg(bench)
    assert figure == documents.svg(bench)
    words = "".join(ElementTree.fromstring(figure).itertext())
    for entry in bench.rows:
        if entry.median_ms is not None:
            assert entry.engine in words


def test_where_nothing_ran_there_is_a_figure_all_the_same():
    assert "<svg" in documents.svg(found(row("torch", failed="no")))


def test_three_files_are_written_and_replaced(tmp_path):
    for bench in (TRAINING, ENGINES):
        documents.write(bench, tmp_path / "new" / "folder")
    files = {path.name: path.read_text() for path in (tmp_path / "new" / "folder").iterdir()}
    assert set(files) == {"bench.json", "bench.md", "bench.svg"}
    assert json.loads(files["bench.json"]) == json.loads(json.dumps(ENGINES.to_json()))


def test_a_file_in_the_place_of_the_folder_is_refused_and_stays(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="is not a folder"):
        documents.write(ENGINES, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
