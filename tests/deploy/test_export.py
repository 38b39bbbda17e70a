"""An export appears when it has been held to the model, under a name that was free, and otherwise not at all."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import onnx

import verydeep as vd
from tests.deploy.bundles import SHARE
from verydeep import extras
from verydeep.cli.main import main
from verydeep.deploy import bundle, to_onnx, to_openvino
from verydeep.deploy.export import export
from verydeep.deploy.formats import FORMATS
from verydeep.errors import ConfigError, ResourceError, VerificationError, VerydeepError
from verydeep.run import Run

MODULES: dict[str, Any] = {"onnx": to_onnx, "openvino": to_openvino}
FILES = {"onnx": ["model.onnx"], "openvino": ["model.bin", "model.xml"]}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("to", MODULES)
@pytest.mark.parametrize("size", ["fixed", "free"])
def test_an_export_is_checked_and_says_how(to: str, size: Any, run: Run, tmp_path: Path):
    done = vd.export(run, to=to, size=size, out=tmp_path / f"model{FORMATS[to].suffix}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(done.files) == FILES[to]
    assert done.path == tmp_path / done.files[0]
    assert done.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 0 < done.checked.error <= SHARE
    assert done.checked.batches == (1, 2, 7)
    assert done.checked.sizes == (((8, 8),) if size == "fixed" else ((8, 8), (12, 16)))
    assert (done.preprocessing["mean"], done.preprocessing["std"]) == ([0.0], [1.0])
    assert done.preprocessing["crop"] == ("center" if size == "fixed" else "none")
    json.dumps(done.to_json(), allow_nan=False)


def sabotaged(monkeypatch: pytest.MonkeyPatch, to: str, damage: Any) -> None:
    """The writer of a format writes another bundle than it was given."""
    original = MODULES[to].write
    monkeypatch.setattr(MODULES[to], "write", lambda bundle, path, *, size: original(damage(bundle), path, size=size))


def changed_weight(bundle: Any) -> Any:
    """One of all numbers is 0: the largest in the last matrix, which surely counts."""
    weights = {name: array.copy() for name, array in bundle.weights.items()}
    matrix = weights[[name for name in weights if name.endswith("weight")][-1]]
    matrix.flat[np.abs(matrix).argmax()] = 0
    return replace(bundle, weights=weights)


def lost_mean(bundle: Any) -> Any:
    return replace(bundle, weights=bundle.weights | {"normalize.bias": 0 * bundle.weights["normalize.bias"]})


def lost_dimension(bundle: Any) -> Any:
    layers = bundle.network.blocks[-1].layers
    head = replace(layers[-1], features=9)
    blocks = (*bundle.network.blocks[:-1], replace(bundle.network.blocks[-1], layers=(*layers[:-1], head)))
    cut = {name: array[:9] if name.startswith(head.name) else array for name, array in bundle.weights.items()}
    return replace(bundle, network=replace(bundle.network, blocks=blocks), weights=cut)


@pytest.mark.parametrize("to", MODULES)
@pytest.mark.parametrize("damage", [changed_weight, lost_mean, lost_dimension])
def test_a_file_that_is_not_the_model_is_deleted(
    to: str, damage: Any, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    sabotaged(monkeypatch, to, damage)
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run.path), "--to", to, "--out", str(tmp_path / f"model{FORMATS[to].suffix}")])
    said = capsys.readouterr()
    assert ended.value.code == 8
    assert "error[EXPORT-MISMATCH]: the exported file is not the model: at batch" in said.err
    assert (said.err.count("\n"), said.out) == (1, "")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_names_other_classes_is_deleted(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All logits move to the middle, none by more than is tolerated here, and the last becomes the first."""
    original = to_onnx.runner

    def swapped(path: Path) -> Any:
        compute = original(path)

        def run(images: Any) -> Any:
            logits = compute(images)
            high, low = logits.max(1, keepdims=True), logits.min(1, keepdims=True)
            return (high + low) / 2 + 0.01 * (high - low) * (logits == low)

        return run

    monkeypatch.setattr(to_onnx, "runner", swapped)
    monkeypatch.setattr("verydeep.deploy.verify.TOLERANCE", 1.02)
    with pytest.raises(VerificationError, match="at batch 1 of 8x8 it names other classes than the model"):
        export(run, out=tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["write", "runner"])
def test_a_failure_or_ctrl_c_halfway_leaves_nothing(
    moment: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(to_onnx, moment, interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(run, out=tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_goes_with_the_next_one(run: Run, tmp_path: Path):
    left = tmp_path / ".model.onnx.999999999.unfinished"
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    export(run, out=tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def plant(kind: str, place: Path, precious: Path) -> None:
    match kind:
        case "file":
            place.write_bytes(b"mine")
        case "folder":
            place.mkdir()
        case "symlink":
            place.symlink_to(precious)
        case "broken symlink":
            place.symlink_to(precious.with_name("nowhere"))
        case "hard link":
            os.link(precious, place)


@pytest.mark.parametrize("to", MODULES)
@pytest.mark.parametrize("kind", ["file", "folder", "symlink", "broken symlink", "hard link"])
def test_nothing_is_written_over_or_through_a_link(kind: str, to: str, run: Run, tmp_path: Path):
    """WTS-09. OpenVINO has two files, of which the second has a name that the user did not give."""
    place = tmp_path / "out"
    for name in FILES[to]:
        place.mkdir()
        precious = tmp_path / "precious"
        precious.write_bytes(b"precious")
        plant(kind, place / name, precious)
        with pytest.raises(ConfigError, match=f"{name} is there already, and nothing is written over") as caught:
            export(run, to=to, out=place / f"model{FORMATS[to].suffix}")
        assert caught.value.code == "OUT-TAKEN"
        assert [path.name for path in place.iterdir()] == [name]
        assert precious.read_bytes() == b"precious"
        assert not (tmp_path / "nowhere").exists()
        (place / name).rmdir() if kind == "folder" else (place / name).unlink()
        place.rmdir()


@pytest.mark.parametrize(("to", "name"), [(to, name) for to, names in FILES.items() for name in names])
def test_a_name_that_is_taken_is_refused_before_any_work(
    to: str, name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(MODULES[to], "write", lambda *_, **__: pytest.fail("it was written"))
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(ConfigError, match="is there already"):
        export(run, to=to, out=tmp_path / f"model{FORMATS[to].suffix}")


def without_links(*_: Any, **__: Any) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", ["has", "lacks"])
@pytest.mark.parametrize("name", FILES["openvino"])
def test_a_file_that_someone_makes_meanwhile_is_not_written_over(
    name: str, links: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """At the last moment, when everything has been looked at; of our two files none stays."""
    original = os.fsync

    def fsync(descriptor: int) -> None:
        original(descriptor)
        if not (tmp_path / name).exists() and name == Path(f"/proc/self/fd/{descriptor}").readlink().name:
            (tmp_path / name).write_bytes(b"mine")

    monkeypatch.setattr("verydeep.deploy.export.os.fsync", fsync)
    if links == "lacks":
        monkeypatch.setattr(os, "link", without_links)
    with pytest.raises(ConfigError, match=f"{name} is there already"):
        export(run, to="openvino", out=tmp_path / "model.xml")
    assert contents(tmp_path) == {name: b"mine"}


def test_where_the_last_of_two_files_cannot_be_placed_the_first_goes_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original = os.link

    def link(source: Any, place: Any) -> None:
        if Path(place).suffix == ".xml":
            raise OSError(errno.EIO, "Input/output error")
        original(source, place)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(ResourceError, match="Input/output error"):
        export(run, to="openvino", out=tmp_path / "model.xml")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links_takes_an_export_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "link", without_links)
    done = export(run, to="openvino", out=tmp_path / "model.xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(done.files) == FILES["openvino"]
    assert min(path.stat().st_size for path in tmp_path.iterdir()) > 0


def test_the_form_for_any_size_is_held_to_the_model_that_was_trained(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A dense form that is wrong is wrong in our own PyTorch too, so that the two would agree."""

    def reversed_head(network: Any, weights: Any) -> Any:
        return {
            name: array[::-1] if name.startswith("fc3") else array for name, array in original(network, weights).items()
        }

    original = bundle.dense_weights
    monkeypatch.setattr(bundle, "dense_weights", reversed_head)
    with pytest.raises(VerificationError, match="at batch 1 of 8x8 a logit is off"):
        export(run, size="free", out=tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_dots_or_through_a_linked_folder_is_that_path_and_no_other(run: Run, tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    export(run, out=tmp_path / "a" / ".." / "dots.onnx")
    export(run, out=tmp_path / "linked" / "through.onnx")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"dots.onnx", "real/through.onnx"}
    assert (tmp_path / "linked").is_symlink()


def test_the_file_holds_all_of_itself(run: Run, tmp_path: Path):
    """WTS-09: no weight lies in another file, so that the file can be moved and names no path."""
    export(run, out=tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert all(place.data_location == place.DEFAULT for place in model.graph.initializer)
    assert str(tmp_path).encode() not in (tmp_path / "model.onnx").read_bytes()
    export(run, to="openvino", out=tmp_path / "model.xml")
    assert str(tmp_path) not in (tmp_path / "model.xml").read_text()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"to": "onxx"}, "EXPORT-FORMAT", "there is no format 'onxx' to export to. Did you mean onnx?"),
        ({"to": "zip"}, "EXPORT-FORMAT", "Choose from onnx, openvino"),
        ({"size": "huge"}, "EXPORT-OPTION", "ONNX is written for images of size fixed or free, not 'huge'"),
        ({"out": "model.pt"}, "OUT", "model.pt is no name for ONNX. Give one that ends in .onnx."),
        ({"out": ".onnx"}, "OUT", "is no name for ONNX"),
        ({"out": "no/where/model.onnx"}, "OUT", "no/where is no folder. Make it first"),
        ({"out": "x" * 300 + "/model.onnx"}, "OUT", "is no folder"),
        ({"int8": True, "calibrate": 0}, "OPTION-VALUE", "calibrate must be 1 or more, got 0"),
        ({"int8": True, "least_agreement": 1.5}, "OPTION-VALUE", "least_agreement must lie between 0 and 1, got 1.5"),
    ],
)
def test_an_export_that_cannot_be_is_refused_before_anything_is_written(
    options: Any, code: str, said: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    before = contents(run.path)
    with pytest.raises(ConfigError) as caught:
        export(run, **options)
    assert caught.value.code == code
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert contents(run.path) == before


def test_a_format_without_int8_says_which_have_it(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], int8=""))
    with pytest.raises(ConfigError, match=r"ONNX is not written in int8 here\. Choose from openvino") as caught:
        export(run, int8=True)
    assert caught.value.code == "EXPORT-OPTION"


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(run: Run, monkeypatch: pytest.MonkeyPatch):
    def absent(module: str) -> Any:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

    monkeypatch.setattr(extras, "import_module", absent)
    with pytest.raises(
        ConfigError, match=r"this needs onnxruntime, which is not installed\. Run: pip install"
    ) as caught:
        export(run)
    assert caught.value.code == "EXTRA-MISSING"


def test_a_diverged_network_is_said_to_be_that(run: Run, tmp_path: Path):
    broken = replace(run, weights={name: array * np.float32(1e30) for name, array in run.weights.items()})
    with pytest.raises(VerydeepError) as caught:
        export(broken, out=tmp_path / "model.onnx")
    assert caught.value.code == "EVAL-NONFINITE"
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_the_file_is_in_the_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    with pytest.raises(SystemExit) as ended:
        main(["export", str(folder), "--size", "free"])
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == str(folder / "model.free.onnx")
    assert lines[1].startswith("ONNX: model.free.onnx, 0.0")
    assert lines[2] == "takes float32 (batch, 1, any height, any width): grey pixels 0..255, after rescaling"
    assert lines[3].startswith(
        "checked beside the PyTorch model on 20 images of 8x8 and 12x16, batches of 1, 2, 7: logi"
    )
    assert sorted(set(contents(folder)) - set(contents(run.path))) == ["model.free.onnx"]
    with pytest.raises(SystemExit):
        main(["export", str(folder), "--format", "json"])
    assert json.loads(capsys.readouterr().out)["checked"]["images"] == 10
    with pytest.raises(SystemExit):
        main(["export", str(folder), "--to", "openvino", "--format", "markdown"])
    assert "- OpenVINO IR: model.xml, model.bin, " in capsys.readouterr().out


def test_a_model_alone_is_exported_with_images_that_the_user_names(run: Run, tmp_path: Path):
    shutil.copy(run.path / "model.safetensors", tmp_path / "mine.safetensors")
    with pytest.raises(ConfigError, match="is a model without its training run"):
        export(tmp_path / "mine.safetensors")
    done = export(tmp_path / "mine.safetensors", "digits")
    assert done.path == tmp_path / "mine.onnx"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.onnx", "mine.safetensors"]


def test_naming_the_formats_loads_no_framework():
    script = "import sys, verydeep.cli.export; print({'torch', 'numpy', 'onnx', 'openvino'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"
