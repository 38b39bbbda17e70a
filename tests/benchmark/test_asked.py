"""What a user asks for is understood, or refused with what to write instead."""

from dataclasses import replace

import pytest

from verydeep.benchmark.asked import at_least_one, at_most_one, counts, engines_of, precisions_of, sizes, threads_of
from verydeep.benchmark.engines import catalog
from verydeep.errors import ConfigError
from verydeep.record.machine import cores


def test_lists_are_written_with_commas():
    assert counts("1, 8,8", option="--batch") == (1, 8)
    assert sizes("224,512x384") == ((224, 224), (512, 384))
    assert precisions_of(["bf16", "float32", "bf16"]) == ("bf16", "float32")


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "a", "1,x", "1234567"])
def test_a_count_is_a_whole_number_of_at_least_one(text):
    with pytest.raises(ConfigError, match="--batch") as refused:
        counts(text, option="--batch")
    assert refused.value.code == "OPTION-VALUE"


@pytest.mark.parametrize("text", ["", "0", "224x", "x224", "1x2x3", "0x5", "224;512", "-3x4"])
def test_a_size_is_one_number_or_height_and_width(text):
    with pytest.raises(ConfigError, match="HEIGHTxWIDTH"):
        sizes(text)


@pytest.mark.parametrize("calls", [0, -1, 100_001])
def test_zero_calls_measure_nothing(calls):
    with pytest.raises(ConfigError, match="calls must lie between 1 and"):
        at_least_one(calls, option="calls")


def test_threads_are_as_many_as_processors_unless_said_otherwise():
    assert (threads_of(None), threads_of(3)) == (cores(), 3)
    with pytest.raises(ConfigError):
        threads_of(0)


def test_where_one_value_is_taken_several_are_refused():
    assert (at_most_one((), option="--size"), at_most_one((5,), option="--size")) == (None, 5)
    with pytest.raises(ConfigError, match="--size has 2 values here"):
        at_most_one((5, 6), option="--size")


def test_a_name_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"Did you mean openvino\?") as refused:
        engines_of(["openvin"], precisions=["float32"])
    assert refused.value.code == "ENGINE-UNKNOWN"
    with pytest.raises(ConfigError, match=r"Did you mean bf16\?") as refused:
        precisions_of(["bf15"])
    assert refused.value.code == "PRECISION-UNKNOWN"
    with pytest.raises(ConfigError, match="no engine is named"):
        engines_of([], precisions=["float32"])


def test_all_engines_are_meant_where_none_is_named():
    assert engines_of(None, precisions=["float32"]) == tuple(catalog.ENGINES)


def test_a_named_engine_that_cannot_run_here_is_refused_with_the_reason_and_those_that_can(monkeypatch):
    without = replace(catalog.ENGINES["verydeep"], lacks=lambda: "the kernels were not compiled: no compiler")
    monkeypatch.setattr(catalog, "ENGINES", {**catalog.ENGINES, "verydeep": without})
    monkeypatch.setattr("verydeep.benchmark.asked.ENGINES", catalog.ENGINES)
    with pytest.raises(ConfigError, match="verydeep cannot run here: the kernels were not compiled") as refused:
        engines_of(["torch", "verydeep"], precisions=["float32"])
    assert (refused.value.code, refused.value.exit_code) == ("ENGINE-UNAVAILABLE", 2)
    assert "These can: torch, torch-channels-last" in refused.value.hint


def test_an_engine_whose_package_is_missing_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(catalog, "find_spec", lambda package: None if package == "openvino" else object())
    assert catalog.why_not("openvino", precision="float32") == (
        "openvino is not installed; run: pip install 'verydeep[openvino]'"
    )
    monkeypatch.setattr(catalog, "find_spec", lambda package: None if package == "nncf" else object())
    assert catalog.why_not("openvino", precision="float32") is None
    assert "nncf is not installed" in catalog.why_not("openvino", precision="int8")


def test_a_precision_that_an_engine_has_not_is_a_reason():
    assert catalog.why_not("onnxruntime", precision="bf16") == "it does not compute in bf16, but in float32 and int8"
    assert engines_of(["onnxruntime"], precisions=["float32", "bf16"]) == ("onnxruntime",)
    with pytest.raises(ConfigError, match="does not compute in bf16"):
        engines_of(["onnxruntime"], precisions=["bf16"])


def test_without_a_compiler_nothing_is_compiled(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    assert "C++ compiler" in catalog.why_not("torch-compile", precision="float32")
