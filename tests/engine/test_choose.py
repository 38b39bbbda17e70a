"""Which engine runs: ours where it can, else PyTorch with the reason; and evaluate and predict say which it was."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.engine.nets import error, images, net, weights
from verydeep.engine import library
from verydeep.engine.choose import choose, ready
from verydeep.errors import ConfigError
from verydeep.evaluation.evaluate import evaluate
from verydeep.evaluation.predict import predict
from verydeep.families.vgg import vgg
from verydeep.preprocessing import Preprocessing
from verydeep.run import Run
from verydeep.settings.config import Config
from verydeep.weights.initial import initial

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("compiled")


def test_auto_is_ours_on_a_cpu_with_vector_instructions(monkeypatch):
    monkeypatch.setattr(library, "active", lambda: "avx2")
    assert choose().engine == choose("verydeep").engine == "verydeep"
    assert (choose().name, choose().reason) == ("verydeep avx2 float32", "")


def test_without_vector_instructions_auto_is_pytorch_and_ours_can_be_asked_for(monkeypatch):
    monkeypatch.setattr(library, "active", lambda: "generic")
    choice = choose()
    assert (choice.engine, choice.name) == ("pytorch", "pytorch float32")
    assert choice.reason == "our kernels have no vector instructions of this processor"
    assert choose("verydeep").name == "verydeep generic float32"


def test_on_a_gpu_pytorch_computes_and_ours_is_refused():
    choice = choose(device="cuda:1")
    assert (choice.engine, choice.name, choice.reason) == (
        "pytorch",
        "pytorch float32 cuda:1",
        "it computes on the CPU, not on cuda:1",
    )
    with pytest.raises(ConfigError, match=r"here: it computes on the CPU, not on cuda:1\. auto computes in PyTorch"):
        choose("verydeep", device="cuda:1")


def test_what_is_asked_for_is_taken_without_a_reason():
    assert choose("pytorch").reason == ""


def test_an_engine_that_is_not_compiled_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(library, "why_not", lambda: "the kernels were not compiled: no C++ compiler was found")
    assert choose().reason == "the kernels were not compiled: no C++ compiler was found"
    with pytest.raises(ConfigError, match=r"the engine verydeep cannot run here: .* no C\+\+ compiler") as refused:
        choose("verydeep")
    assert (refused.value.code, refused.value.exit_code) == ("ENGINE-UNAVAILABLE", 2)


def test_an_unknown_engine_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"there is no engine 'pytroch'. Did you mean pytorch\?") as refused:
        choose("pytroch")
    assert refused.value.code == "ENGINE-UNKNOWN"


def test_both_engines_give_the_same_logits():
    batch = torch.tensor(images((2, *net("nin").input)))
    with torch.inference_mode():
        ours, theirs = (
            ready(choose(name), net("nin"), weights("nin"))(batch).numpy() for name in ("verydeep", "pytorch")
        )
    assert 0 < error(ours, theirs) <= 1e-5


@pytest.fixture(scope="module")
def run():
    """A column for the digits that nobody has trained, with its preprocessing."""
    network = vgg(((1, 4), (1, 8)), input=(1, 8, 8), classes=10, fc=())
    preprocessing = Preprocessing(1, (8, 8), None, "center", (100.0,), (80.0,), "grey")
    return Run(Path("run"), Config(), network, initial(network), preprocessing, tuple("0123456789"), (), {})


def test_an_evaluation_says_which_engine_gave_its_numbers(run):
    ours, theirs = (evaluate(run, "digits", engine=name) for name in ("auto", "pytorch"))
    assert (ours.engine, theirs.engine) == (choose().name, "pytorch float32")
    assert ours.to_json()["engine"] == ours.engine
    assert abs(ours.loss - theirs.loss) <= 1e-5
    with pytest.raises(ConfigError, match="there is no engine 'onnx'"):
        evaluate(run, "digits", engine="onnx")  # type: ignore[arg-type]


def test_predictions_of_both_engines_agree(run, tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "digit.png")
    (ours,), (theirs,) = (predict(run, [tmp_path], engine=name) for name in ("auto", "pytorch"))
    assert ours.classes == theirs.classes
    assert np.allclose(ours.confidences, theirs.confidences, rtol=1e-4)
    with pytest.raises(ConfigError, match="there is no engine 'onnx'"):
        predict(run, [tmp_path], engine="onnx")  # type: ignore[arg-type]


def forced(isa: str) -> subprocess.CompletedProcess[str]:
    """What a Python of its own says of itself where VERYDEEP_ISA is set."""
    script = """
from verydeep.engine import library
from verydeep.errors import ConfigError
try:
    print(library.active())
except ConfigError as error:
    print(error.line())
"""
    environment = {"VERYDEEP_ISA": isa, "PATH": ""}
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
        env=environment,
    )


def test_the_variable_chooses_the_instruction_set():
    for isa in library.instruction_sets():
        assert forced(isa).stdout == f"{isa}\n"


def test_a_variable_that_names_what_cannot_run_is_an_error_and_no_fallback():
    assert forced("avx1024").stdout.startswith(
        "verydeep: error[ISA-UNAVAILABLE]: VERYDEEP_ISA is 'avx1024', no instruction set. Did you mean avx"
    )
    absent = next(name for name in library.INSTRUCTION_SETS if name not in library.instruction_sets())
    assert forced(absent).stdout.startswith(
        f"verydeep: error[ISA-UNAVAILABLE]: VERYDEEP_ISA is {absent}, which cannot run here. Unset it, or choose from"
    )


def test_finding_out_about_the_kernels_loads_no_framework():
    script = "import sys; from verydeep.engine import library; library.why_not(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"
