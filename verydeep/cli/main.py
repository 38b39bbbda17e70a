"""The command `verydeep` and its verbs; errors become one line and a documented exit code.

Exit codes: 0 done, 2 usage, 3 data, 4 weights or checkpoint, 5 not finite, 6 disk or memory, 7 processes,
8 verification failed, 129/130/143 stopped by SIGHUP/SIGINT/SIGTERM after saving; 1 is a fault of ours.
"""

import os
import sys
from contextlib import suppress
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from cyclopts import App, Parameter

from verydeep.cli.failures import failure, heeding_signals, one_line

app = App(
    name="verydeep",
    help="VGGNet done completely: describe, count, draw, train and evaluate very deep convolutional networks.",
    help_epilogue="Begin with `verydeep train`, which needs no files. Each command has its own --help, "
    "and --debug shows where in the program an error arose.\n",
    version=lambda: version("verydeep"),
    default_parameter=Parameter(negative_iterable=""),
    help_format="plaintext",  # Markdown would take 0.1 s to import
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

VERBS = {  # in the order in which one meets them
    "list": "Networks, data sets and recipes by name.",
    "show": "A network's layers: shapes, parameters, MACs, memory, receptive fields.",
    "compare": "Networks side by side.",
    "code": "A network as plain PyTorch, Keras, Flax or MXNet source that runs alone.",
    "train": "Train a network on a data set; leaves a run folder with a report.",
    "resume": "Go on with a run that was interrupted or killed.",
    "evaluate": "The accuracy of a run on a data set.",
    "reproduce": "The paper's tables and findings, computed again.",
    "predict": "What a run's network sees in images.",
    "features": "What the layers of a run's network say of images, as arrays in a file.",
    "transfer": "How good a run's features are for another data set.",
    "localise": "Where the object is: train a localiser, measure it, ask it.",
    "bench": "How fast engines compute a network here, beside their errors.",
    "export": "A run's network for other programs: ONNX, OpenVINO, Keras, ..., checked before it is kept.",
    "report": "Write a run's report again.",
    "import": "Weights from anywhere become a model's file, with preprocessing and class names.",
    "push": "A run's model to a hub, such as huggingface.co.",
    "pull": "A model from a hub, each file checked.",
    "doctor": "Check this machine and installation.",
}
for place, (verb, purpose) in enumerate(VERBS.items()):
    app.command(f"verydeep.cli.{verb}:run", name=verb, help=purpose, sort_key=place)
for option in ("--help", "--version"):
    app[option].sort_key = len(VERBS)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        arguments: Words after ``verydeep``; None takes the process's own.
    """
    words = sys.argv[1:] if arguments is None else arguments
    _prepare_streams()
    with heeding_signals():
        code = _code(words)
    _leave(code)


def _code(words: list[str]) -> int:
    """Run the command; what failed is one line, and the exit code."""
    try:
        _explain(words)
        code = app([word for word in words if word != "--debug"], exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as in `verydeep list | head`
        # Otherwise Python tries to write the rest as it ends, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in words:
            import traceback

            traceback.print_exc()
        found = failure(error)
        with suppress(OSError):
            print(one_line(found), file=sys.stderr)
        return found.exit_code
    return code if isinstance(code, int) else 0


def _leave(code: int) -> NoReturn:
    """End this process; one of several skips Python's clean-up, in which gloo's threads aborted 1 of 8 good runs."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _explain(words: list[str]) -> None:
    """Let the --help of the verb at hand say all that its function says, not only the line in the list of verbs."""
    verb = next(iter(words), "")
    if verb in VERBS:
        text = (app[verb].default_command.__doc__ or VERBS[verb]).partition("Args:")[0]  # none with PYTHONOPTIMIZE=2
        app[verb].help = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
        app[verb].help_epilogue = ""


def _prepare_streams() -> None:
    """Text that the terminal cannot show is escaped, and output to a closed stream goes nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open until the process ends
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
