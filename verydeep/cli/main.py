"""The command `verydeep` and its verbs; errors become one line and a documented exit code.

Exit codes: 0 done, 2 usage, 3 data, 4 weights or checkpoint, 5 not finite, 6 disk or memory, 7 processes,
8 verification failed, 129/130/143 stopped by SIGHUP/SIGINT/SIGTERM after saving.
"""

import os
import sys
from importlib.metadata import version

from cyclopts import App, CycloptsError

from verydeep.errors import ConfigError, ResourceError, VerydeepError

app = App(
    name="verydeep",
    help="VGGNet done completely: describe, count, draw, train and evaluate very deep convolutional networks.",
    version=lambda: version("verydeep"),
    result_action="return_value",
)

VERBS = {
    "list": "Networks, data sets and recipes by name.",
    "show": "A network's layers: shapes, parameters, MACs, memory, receptive fields.",
    "compare": "Networks side by side.",
    "code": "A network as plain PyTorch source that runs without this package.",
    "train": "Train a network on a data set; leaves a run folder with a report.",
    "resume": "Go on with a run that was interrupted or killed.",
    "evaluate": "The accuracy of a run on a data set.",
    "predict": "What a run's network sees in images.",
    "report": "Write a run's report again.",
    "doctor": "Check this machine and installation.",
}
for verb, purpose in VERBS.items():
    app.command(f"verydeep.cli.{verb}:run", name=verb, help=purpose)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        arguments: Words after ``verydeep``; None takes the process's own.
    """
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = app(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except VerydeepError as error:
        if debug:
            raise
        code = _fail(error)
    except CycloptsError as error:
        code = _fail(_usage(error))
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader of our output has gone, as in `verydeep list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except MemoryError:
        code = _fail(ResourceError("there is not enough memory", code="MEMORY", hint="Give a smaller --batch."))
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: CycloptsError) -> VerydeepError:
    from pydantic import ValidationError  # only where an option was refused

    from verydeep.train.config import out_of_range

    if isinstance(error.__cause__, ValidationError):
        return out_of_range(error.__cause__)
    return ConfigError(str(error), code="USAGE", hint="See `verydeep --help`.")


def _fail(error: VerydeepError) -> int:
    print(error.line(), file=sys.stderr)
    return error.exit_code
