"""A training run from its first line to its last: `train` begins one, `resume` goes on with one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from verydeep import spec_json
from verydeep.durable import write_atomic
from verydeep.errors import ConfigError, DataError, WeightsError
from verydeep.record import folder as files
from verydeep.record.environment import environment
from verydeep.record.folder import Run, open_run
from verydeep.record.rows import append_timing, write_metrics
from verydeep.report.table import summary
from verydeep.spec import Network
from verydeep.train import checkpoint
from verydeep.train import config as settings
from verydeep.train.config import Config
from verydeep.train.display import Display, Silent, Terminal
from verydeep.train.finish import finish
from verydeep.train.lock import lock
from verydeep.train.loop import run_epochs
from verydeep.train.prepare import Prepared, first_weights, prepare
from verydeep.train.processes import Processes, joined
from verydeep.train.progress import Progress, from_json
from verydeep.train.signals import stopping
from verydeep.train.trainee import Trainee, bytes_to_save, full_precision, trainee

RESUMABLE = (  # what may change when a run goes on: none of it makes it another run
    "epochs",
    "patience",
    "workers",
    "device",
    "data_root",
    "download",
    "checkpoint_every",
    "checkpoint_minutes",
    "allow_data_change",
)


def train(
    config: Config, *, network: Network | None = None, out: Path | None = None, display: Display | None = None
) -> Run:
    """Train a network and leave a run folder.

    Args:
        config: The complete settings, as `recipes.resolve` gives them.
        network: Trained in place of the one that `config` names; the run folder keeps its description.
        out: The run folder, new or empty; None is the first free of ``run-001``, ``run-002``, ...
        display: Where to report to; None is the terminal.

    Returns:
        The finished run, opened; None of it changes any more.

    Raises:
        ConfigError, DataError, ResourceError: found before the first step.
        NumericalError: the training diverged; the last checkpoint is good.
        Interrupted: a signal came; everything is saved.
    """
    with _session(config, display) as (processes, shown):
        prepared = prepare(config, processes, network=network)
        arrays = first_weights(config, prepared.network)
        folder = processes.from_first(_new_folder(out) if processes.is_first else Path())
        with _locked(folder, processes):
            if processes.is_first:
                _describe(folder, config, prepared.network)
            learner = trainee(prepared.network, arrays, config, processes)
            _go(folder, learner, Progress(), prepared, display=shown)
    return open_run(folder)


def resume(folder: Path, changes: dict[str, Any], *, display: Display | None = None) -> Run:
    """Go on with a run from its newest valid checkpoint, in the middle of an epoch too, to the same bits.

    Args:
        folder: What `train` wrote; it may have been killed at any moment.
        changes: New values for fields in `RESUMABLE`.
        display: Where to report to; None is the terminal.

    Raises:
        ConfigError: no run there, or a change that would make it another run.
        DataError: the images are not those that the run began with.
        WeightsError: a checkpoint that only a newer version can read.
    """
    if not (folder / files.CONFIG).is_file():
        raise ConfigError(
            f"{folder} is no run: it has no {files.CONFIG}", code="RUN-MISSING", hint="Begin one with `verydeep train`."
        )
    before = settings.checked(settings.from_yaml(folder / files.CONFIG), where=str(folder / files.CONFIG))
    config = before.updated(**changes)
    forbidden = [name for name in changes if name not in RESUMABLE and getattr(before, name) != getattr(config, name)]
    if forbidden:
        differences = "; ".join(f"{name}: {getattr(before, name)} -> {getattr(config, name)}" for name in forbidden)
        raise ConfigError(
            f"{differences} would be another run than {folder}",
            code="RESUME-CHANGED",
            hint=f"Begin a new one with: verydeep train --config {folder / files.CONFIG}",
        )
    with _session(config, display) as (processes, shown), _locked(folder, processes):
        prepared = prepare(config, processes, network=_network(folder))
        found, skipped = checkpoint.latest(folder / files.CHECKPOINTS, run_id=_run_id(folder))
        for one in skipped:
            shown.note(f"warning: {one.path.name} is passed over: {one.reason}")
        arrays = first_weights(config, prepared.network)
        learner = trainee(prepared.network, arrays, config, processes)
        progress = Progress() if found is None else _take_up(found, learner, prepared, shown)
        for name in changes:
            if getattr(before, name) != getattr(config, name):
                shown.note(f"{name}: {getattr(before, name)} -> {getattr(config, name)}")
        if processes.is_first and config != before:
            write_atomic(folder / files.CONFIG, config.to_yaml().encode())
        _go(folder, learner, progress, prepared, display=shown)
    return open_run(folder)


@contextmanager
def _session(config: Config, display: Display | None) -> Iterator[tuple[Processes, Display]]:
    full_precision()
    with joined(config.device) as processes:
        shown = display or Terminal()
        if not processes.is_first:
            shown = Silent()
        try:
            yield processes, shown
        finally:
            shown.end()


def _go(folder: Path, learner: Trainee, progress: Progress, prepared: Prepared, *, display: Display) -> None:
    """Train from where `progress` stands to the end, and write what a run leaves behind."""
    config, processes = prepared.config, prepared.processes
    checkpoints, run_id = folder / files.CHECKPOINTS, _run_id(folder) if processes.is_first else ""
    if processes.is_first:
        checkpoint.check_space(checkpoints, bytes_needed=3 * bytes_to_save(learner, config))
        write_metrics(folder, progress.history)

    def save() -> None:
        if processes.is_first:
            checkpoint.save(
                checkpoints,
                step=progress.step,
                weights=learner.weights(),
                state=learner.state(),
                record=_record(progress, prepared),
                run_id=run_id,
            )

    def record(row: dict[str, Any], seconds: float) -> None:
        if processes.is_first:
            write_metrics(folder, progress.history)
            append_timing(folder, epoch=row["epoch"], seconds=seconds)

    _introduce(folder, progress, prepared, display=display)
    with stopping() as stop:
        run_epochs(
            learner,
            progress,
            prepared,
            display=display,
            stop=stop,
            save=save,
            record=record,
            resume=f"verydeep resume {folder}",
        )
    finish(folder, learner, progress, prepared, display=display)
    processes.from_first(None)  # the others wait until everything is written


def _introduce(folder: Path, progress: Progress, prepared: Prepared, *, display: Display) -> None:
    config, processes = prepared.config, prepared.processes
    network, steps = prepared.network, config.epochs * -(-len(prepared.train) // config.batch)
    held_out = f", {len(prepared.val):,} held out for validation" if prepared.val is not None else ""
    several = f", {processes.world} processes" if processes.world > 1 else ""
    title = f"{network.name} ({summary(network).params:,} parameters) on {config.data}: {len(prepared.train):,} images"
    where = f"recipe {config.recipe}, {config.epochs} epochs on {processes.device}{several}; run {folder}"
    display.begin(title=f"{title}{held_out}; {where}", steps=steps, done=progress.step)
    for note in network.notes:
        display.note(note)
    if prepared.bad:
        display.note(f"warning: {len(prepared.bad)} unreadable images are left out")
    if progress.step:
        display.note(f"going on after step {progress.step:,}, in epoch {progress.epoch + 1}")


def _record(progress: Progress, prepared: Prepared) -> dict[str, Any]:
    """What a checkpoint holds besides arrays."""
    return {
        "progress": progress.to_json(),
        "config": prepared.config.model_dump(mode="json"),
        "classes": list(prepared.train.classes),
        "preprocessing": prepared.preprocessing.to_json(),
        "fingerprint": prepared.fingerprint,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def _take_up(found: checkpoint.Checkpoint, learner: Trainee, prepared: Prepared, display: Display) -> Progress:
    """The progress of a checkpoint, with its arrays put in place."""
    record, config = found.record, prepared.config
    if record.get("fingerprint") != prepared.fingerprint and not config.allow_data_change:
        raise DataError(
            f"the images of {config.data} are not those that the run began with",
            code="DATA-CHANGED",
            hint="Put the old ones back, or go on with --allow-data-change.",
        )
    if list(prepared.train.classes) != record.get("classes"):
        raise WeightsError(
            f"the classes of {config.data} are not those of the run: {record.get('classes')}",
            code="CKP-CLASSES",
            hint="Begin a new run for other classes.",
        )
    for name, now in (("torch", torch.__version__), ("threads", torch.get_num_threads())):
        if record.get(name) != now:
            display.note(f"warning: {name} was {record.get(name)} and is {now}: the same bits are not promised")
    learner.restore(found)
    progress = from_json(record["progress"])
    progress.stopped = progress.stopped and progress.stale >= config.patience > 0
    return progress


def _new_folder(out: Path | None) -> Path:
    """A folder that holds nothing yet; nothing is ever written over."""
    if out is None:
        number = 1
        while True:
            folder = Path(f"run-{number:03d}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
                continue
            return folder
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = any(out.iterdir())
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be a run folder: {error.strerror}", code="OUT") from None
    if taken:
        raise ConfigError(
            f"--out {out} is not empty",
            code="OUT-TAKEN",
            hint=f"Choose another folder, or go on with: verydeep resume {out}",
        )
    return out


def _describe(folder: Path, config: Config, network: Network) -> None:
    """The files that make a folder a run; the settings come last, because they are its mark."""
    text = json.dumps({"run": uuid4().hex, **environment()}, indent=2)
    write_atomic(folder / files.ENVIRONMENT, text.encode())
    write_atomic(folder / files.NETWORK, (spec_json.dumps(network, indent=2) + "\n").encode())
    write_atomic(folder / files.CONFIG, config.to_yaml().encode())


def _network(folder: Path) -> Network:
    return spec_json.loads((folder / files.NETWORK).read_text())


def _run_id(folder: Path) -> str:
    return str(json.loads((folder / files.ENVIRONMENT).read_text())["run"])


@contextmanager
def _locked(folder: Path, processes: Processes) -> Iterator[None]:
    if not processes.is_first:
        yield
        return
    with lock(folder):
        yield
