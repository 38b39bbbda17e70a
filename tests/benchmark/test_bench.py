"""`bench` itself: its rows, its JSON, whatever its engines do."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.benchmark.tiny import NETWORK
from verydeep.benchmark import bench as benchmark
from verydeep.benchmark.bench import bench
from verydeep.benchmark.contest import Timed
from verydeep.benchmark.engines import catalog
from verydeep.benchmark.worker import Failed
from verydeep.errors import ConfigError

KEYS = ("engine", "median_ms", "min_ms", "error", "ratio", "peak_mb")  # design.md, section 3


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """A contest of which `told` says each entrant's seconds and logits; in float64 they are 1 and 2."""
    told: dict[str, tuple[float, list[float]] | str] = {}
    points: list[tuple] = []

    def contest(entrants, *, calls, threads, folder, keep, say):
        points.append((entrants[0].job["size"], entrants[0].job["batch"], threads, calls))
        timed = []
        for entrant in entrants:
            what = told.get(entrant.name, (0.2, [1.0, 2.0]))
            if isinstance(what, str):
                timed.append(Timed(entrant.name, failed=what))
                continue
            output = folder / f"{len(timed)}.npy"
            np.save(output, [what[1]])
            timed.append(Timed(entrant.name, (what[0],) * calls, output=output, peak_bytes=10**8))
        return timed

    def once(entrant, *, threads, folder):
        if told.get("reference") == "fails":
            raise Failed("it was killed")
        np.save(folder / "reference.npy", np.array([[1.0, 2.0]]))
        return folder / "reference.npy"

    monkeypatch.setattr(benchmark, "contest", contest)
    monkeypatch.setattr(benchmark, "once", once)
    monkeypatch.setattr(benchmark.bystanders, "LOOK", 0.01)
    told["points"] = points  # type: ignore[assignment]
    return told


def test_two_engines_for_real():
    found = bench(NETWORK, engines=["torch", "onnxruntime"], calls=2, threads=1)
    record = json.loads(json.dumps(found.to_json()))
    assert {row["engine"] for row in record["engines"]} == {"torch", "onnxruntime"}
    for row in record["engines"]:
        assert all(row[key] is not None for key in KEYS), row
        assert 0 < row["error"] < 1e-5
        assert 0 < row["min_ms"] <= row["median_ms"]
        assert row["version"]
    assert next(row for row in record["engines"] if row["engine"] == "torch")["ratio"] == 1.0
    assert (record["threads"], record["calls"], record["network"]) == (1, 2, "vgg")
    assert record["machine"]["cores"] >= 1


def test_ratios_and_errors_follow_from_known_times_and_logits(pretended):
    pretended["torch float32"] = (0.5, [1.0, 2.0])
    pretended["torch-channels-last float32"] = (0.1, [1.0, 2.5])
    found = bench(NETWORK, engines=["torch", "torch-channels-last"], calls=3, batches=[4])
    assert [(row.engine, row.ratio, row.error) for row in found.rows] == [
        ("torch-channels-last", 5.0, 0.25),
        ("torch", 1.0, 0.0),
    ]
    assert found.rows[0].image_ms == pytest.approx(25.0)


def test_every_batch_and_size_is_a_point_of_its_own(pretended):
    found = bench(NETWORK, engines=["torch"], batches=[1, 3], sizes=[(8, 8), (16, 12)], threads=2, calls=7)
    points = [((8, 8), 1, 2, 7), ((8, 8), 3, 2, 7), ((16, 12), 1, 2, 7), ((16, 12), 3, 2, 7)]
    assert pretended["points"] == points
    assert [(row.height, row.width, row.batch) for row in found.rows] == [(*size, batch) for size, batch, *_ in points]


def test_one_that_fails_is_a_row_with_its_reason(pretended):
    pretended["onnxruntime float32"] = "it died by SIGSEGV"
    found = bench(NETWORK, engines=["onnxruntime", "torch"], calls=1)
    assert [(row.engine, row.failed) for row in found.rows] == [("torch", ""), ("onnxruntime", "it died by SIGSEGV")]
    assert found.rows[1].median_ms is None


def test_one_that_cannot_run_here_is_marked_where_all_were_meant(pretended, monkeypatch):
    without = replace(catalog.ENGINES["verydeep"], lacks=lambda: "no compiler")
    monkeypatch.setattr(catalog, "ENGINES", {"torch": catalog.ENGINES["torch"], "verydeep": without})
    monkeypatch.setattr("verydeep.benchmark.asked.ENGINES", catalog.ENGINES)
    found = bench(NETWORK, calls=1)
    assert [(row.engine, row.failed) for row in found.rows] == [("torch", ""), ("verydeep", "unavailable: no compiler")]
    with pytest.raises(ConfigError, match="no compiler"):
        bench(NETWORK, engines=["verydeep"], calls=1)


def test_an_engine_takes_part_in_the_precisions_that_it_has(pretended):
    found = bench(NETWORK, engines=["onnxruntime", "torch"], precisions=["float32", "bf16"], calls=1)
    assert {(row.engine, row.precision) for row in found.rows} == {
        ("onnxruntime", "float32"),
        ("torch", "float32"),
        ("torch", "bf16"),
    }
    assert found.standard == "torch float32"
    assert bench(NETWORK, engines=["onnxruntime"], calls=1).standard == "onnxruntime float32"


def test_without_a_reference_errors_are_not_known_and_this_is_said(pretended):
    pretended["reference"] = "fails"
    found = bench(NETWORK, engines=["torch"], calls=1)
    assert found.rows[0].error is None
    assert found.rows[0].median_ms is not None
    assert "the float64 reference failed" in found.around.warnings[0]


def test_a_busy_machine_is_in_the_warnings(pretended, monkeypatch):
    monkeypatch.setattr("verydeep.benchmark.circumstances.bystanders.others", lambda watch: 1.3)
    found = bench(NETWORK, engines=["torch"], calls=1)
    assert "not idle" in found.around.warnings[-1]
    assert found.around.others_during == 1.3


def test_what_cannot_be_is_refused_before_anything_is_built(pretended):
    for wrong in ({"calls": 0}, {"batches": [0]}, {"threads": 0}, {"sizes": [(3, 3)]}, {"precisions": ["fp8"]}):
        with pytest.raises(ConfigError):
            bench(NETWORK, **{"engines": ["torch"], **wrong})
    assert pretended["points"] == []


def test_nothing_is_left_on_the_disk(pretended, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark.tempfile, "tempdir", str(tmp_path))
    bench(NETWORK, engines=["torch"], calls=1)
    assert list(tmp_path.iterdir()) == []
