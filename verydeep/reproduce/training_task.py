"""One run of a reproduction: begun, gone on with, or found finished; a folder with other settings is refused."""

import shlex
import shutil
from pathlib import Path
from typing import Any, Literal

from verydeep import run_files as files
from verydeep.data.catalog import is_folder
from verydeep.errors import ConfigError
from verydeep.reproduce.experiments import AnyTraining, Started
from verydeep.reproduce.lineage import is_stale, note
from verydeep.reproduce.request import Request
from verydeep.run import read_record
from verydeep.settings.agreement import agreed
from verydeep.settings.config import Config, checked
from verydeep.settings.sources import from_yaml
from verydeep.training.display import Display
from verydeep.training.lock import NAME as LOCK
from verydeep.training.session import RESUMABLE, resume, train

State = Literal["new", "begun", "done"]

OF_THE_MACHINE = tuple(name for name in RESUMABLE if name not in ("epochs", "patience"))  # may differ in a run found
PLACES = ("grow_from", "start_from")  # runs, of which only the names are compared: the folder may have moved
BEFORE_THE_SETTINGS = {files.ENVIRONMENT, files.NETWORK, LOCK}  # what a run that was killed as it began has left


def settings(training: AnyTraining, request: Request) -> Config:
    """The complete settings of a run."""
    before = training.before()
    place = None if before is None else before.folder(request.out, request.scale).absolute()
    if isinstance(training, Started):
        config = request.on_this_machine(training.start.config).updated(seed=training.seed, grow_from=place)
        return agreed(config)
    trained = training.trained
    option = "start_from" if trained.goes_on() else "grow_from"
    return agreed(request.config(trained.side).updated(net=trained.net, seed=training.seed, **{option: place}))


def state(training: AnyTraining, request: Request) -> State:
    """How far the run is.

    Raises:
        ConfigError: code REPRODUCE-OTHER; its folder holds a run with other settings, or one that began with another
            run than lies there now, or something else.
    """
    folder = training.folder(request.out, request.scale)
    if not folder.is_dir() or {path.name for path in folder.iterdir()} <= BEFORE_THE_SETTINGS:
        return "new"
    if files.lacking(folder) is not None:
        raise _other(folder, "it holds something else than a run")
    found = checked(from_yaml(folder / files.CONFIG), where=str(folder / files.CONFIG))
    different = differences(found, settings(training, request))
    if different:
        raise _other(folder, "; ".join(different))
    if (before := training.before()) is not None and is_stale(training, request):
        raise _other(folder, f"it began with another {before.name(request.scale)} than is there now")
    result = folder / files.RESULT
    return "done" if result.is_file() and read_record(result).get("split") is not None else "begun"


def differences(found: Config, wanted: Config) -> list[str]:
    """The settings in which two runs would give other weights, as ``epochs: 20 there, 10 wanted``."""
    names = [name for name in Config.model_fields if name not in OF_THE_MACHINE]
    pairs = [(name, _comparable(found, name), _comparable(wanted, name)) for name in names]
    chosen = [
        (name, there, here) for name, there, here in pairs if not (name == "precision" and here == "auto")
    ]  # a run keeps the precision that it has chosen
    return [f"{name}: {there} there, {here} wanted" for name, there, here in chosen if there != here]


def conduct(training: AnyTraining, request: Request, *, display: Display) -> None:
    """Bring the run to its end, from whatever is there.

    Raises:
        ConfigError, DataError, ResourceError, NumericalError, Interrupted: as `verydeep.training.session.train`.
    """
    folder = training.folder(request.out, request.scale)
    match state(training, request):
        case "done":
            return
        case "new":
            if folder.is_dir():
                shutil.rmtree(folder)
            note(training, request)  # before, for one that is killed
            try:
                train(settings(training, request), out=folder, display=display)
            finally:
                note(training, request)  # now under its own name, by which one that is trained by hand differs
        case "begun":
            wanted = settings(training, request)
            changes = {name: getattr(wanted, name) for name in ("device", "workers", "download")}
            if wanted.data_root is not None:
                changes["data_root"] = wanted.data_root.absolute()
            resume(folder, changes, display=display)


def _comparable(config: Config, name: str) -> Any:
    if name == "data" and is_folder(config.data):
        return str(Path(config.data).absolute())
    value = getattr(config, name)
    return value.name if name in PLACES and value is not None else value


def _other(folder: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{folder} is not the run that is wanted: {why}",
        code="REPRODUCE-OTHER",
        hint=f"Choose another --out, or remove it: rm -r {shlex.quote(str(folder))}",
    )
