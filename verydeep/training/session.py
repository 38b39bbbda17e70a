"""A training run from its first line to its last: `train` begins one, `resume` goes on with one."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import torch

from verydeep import run_files as files
from verydeep import spec_json
from verydeep.data.catalog import is_folder
from verydeep.durable import write_atomic
from verydeep.engine import library
from verydeep.errors import ConfigError
from verydeep.processes import Processes, joined
from verydeep.record.environment import environment
from verydeep.record.rows import write_rows
from verydeep.report.table import summary
from verydeep.report.words import plural
from verydeep.run import Run, open_run, read_record
from verydeep.settings.agreement import agreed
from verydeep.settings.config import Config, checked
from verydeep.settings.recipes import begun
from verydeep.settings.sources import from_yaml
from verydeep.spec import Network
from verydeep.training import checkpoint
from verydeep.training.display import Display, Silent, Terminal
from verydeep.training.finish import finish
from verydeep.training.kernels import choose_kernels
from verydeep.training.lock import lock
from verydeep.training.loop import has_ended, run_epochs
from verydeep.training.our_kernels import refuse_instructions
from verydeep.training.precision import settled
from verydeep.training.prepare import Prepared, first_arrays, prepare
from verydeep.training.progress import Progress, from_json
from verydeep.training.signals import Stop, stopping
from verydeep.training.trainee import Trainee, bytes_to_save, trainee

RESUMABLE = (  # what may change when a run goes on; more epochs bend a schedule that ends with the run, and it says so
    "epochs",
    "patience",
    "workers",
    "device",
    "data_root",
    "download",
    "checkpoint_every",
    "checkpoint_minutes",
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
    config = _anchored(begun(config))
    with _session(config, display) as (processes, shown, stop):
        prepared = prepare(config, processes, network=network)
        arrays = first_arrays(prepared)
        began = monotonic()
        prepared = settled(prepared, arrays)
        tried, config = monotonic() - began, prepared.config
        folder = processes.on_first(lambda: _new_folder(out))
        with _locked(folder, processes):
            processes.on_first(lambda: _describe(folder, config, prepared.network))
            learner = trainee(prepared.network, arrays, config, processes)
            _go(folder, learner, Progress(seconds=tried), prepared, display=shown, stop=stop)
    return open_run(folder)


def resume(
    folder: Path, changes: dict[str, Any], *, allow_data_change: bool = False, display: Display | None = None
) -> Run:
    """Go on with a run from its newest valid checkpoint, in the middle of an epoch too, to the same bits.

    Args:
        folder: What `train` wrote; it may have been killed at any moment.
        changes: New values for fields in `RESUMABLE`.
        allow_data_change: Go on although images have been added, removed or changed.
        display: Where to report to; None is the terminal.

    Raises:
        ConfigError: no run there, or a change that would make it another run.
        DataError: the images are not those that the run began with.
        WeightsError: other classes, a damaged run folder, or a checkpoint that only a newer version can read.
    """
    if (missing := files.lacking(folder)) is not None:
        raise ConfigError(
            f"{folder} is no run: it has no {missing}", code="RUN-MISSING", hint="Begin one with `verydeep train`."
        )
    before = checked(from_yaml(folder / files.CONFIG), where=str(folder / files.CONFIG))
    config = agreed(before.updated(**changes))
    changed = [name for name in changes if getattr(before, name) != getattr(config, name)]
    _refuse_another_run(folder, before, config, changed)
    with _session(config, display) as (processes, shown, stop), _locked(folder, processes):
        found, skipped = checkpoint.latest(folder / files.CHECKPOINTS, run_id=_run_id(folder))
        prepared = prepare(
            config,
            processes,
            network=spec_json.from_json(read_record(folder / files.NETWORK)),
            before=None if found is None else found.record["seen"],
            allow_data_change=allow_data_change,
        )
        for one in skipped:
            shown.note(f"warning: {one.path.name} is passed over: {one.reason}")
        for name in changed:
            shown.note(f"{name}: {getattr(before, name)} -> {getattr(config, name)}")
        if "epochs" in changed and config.schedule in ("cosine", "one-cycle"):
            shown.note(f"warning: the {config.schedule} schedule now spans {config.epochs} epochs: its rates differ")
        if found is None:
            learner = trainee(prepared.network, first_arrays(prepared), config, processes)
            progress = Progress()
        else:
            arrays = {name: tensor.numpy() for name, tensor in found.weights.items()}
            learner = trainee(prepared.network, arrays, config, processes)
            progress = _take_up(found, learner, prepared, shown)
        if changed:
            processes.on_first(lambda: write_atomic(folder / files.CONFIG, config.to_yaml().encode()))
        _go(folder, learner, progress, prepared, display=shown, stop=stop)
    return open_run(folder)


@dataclass(frozen=True, slots=True, eq=False)
class _Folder:
    """The loop's keeper: the first process writes, the others learn whether it could."""

    path: Path
    run_id: str
    learner: Trainee
    progress: Progress
    prepared: Prepared

    def save(self) -> None:
        self.prepared.processes.on_first(self._save)

    def rows(self) -> None:
        progress = self.progress
        self.prepared.processes.on_first(
            lambda: write_rows(self.path, history=progress.history, timings=progress.timings)
        )

    def _save(self) -> None:
        checkpoint.save(
            self.path / files.CHECKPOINTS,
            step=self.progress.step,
            weights=self.learner.weights(),
            state=self.learner.state(),
            record={
                "progress": self.progress.to_json(),
                "seen": self.prepared.seen.to_json(),
                "config": self.prepared.config.model_dump(mode="json"),
                "preprocessing": self.prepared.preprocessing.to_json(),
                **_circumstances(self.prepared.processes),
            },
            run_id=self.run_id,
        )


@contextmanager
def _session(config: Config, display: Display | None) -> Iterator[tuple[Processes, Display, Stop]]:
    refuse_instructions()
    choose_kernels(config)
    with stopping() as stop, joined(config.device) as processes:
        shown = (display or Terminal()) if processes.is_first else Silent()
        try:
            yield processes, shown, stop
        finally:
            shown.end()


def _go(
    folder: Path, learner: Trainee, progress: Progress, prepared: Prepared, *, display: Display, stop: Stop
) -> None:
    """Train from where `progress` stands to the end, and write what a run leaves behind."""
    processes = prepared.processes
    keeper = _Folder(folder, _run_id(folder), learner, progress, prepared)
    needed = checkpoint.WRITTEN_AT_MOST * bytes_to_save(learner, prepared.config)
    processes.on_first(lambda: checkpoint.check_space(folder / files.CHECKPOINTS, bytes_needed=needed))
    keeper.rows()
    stop.hint = f"Go on with: verydeep resume {shlex.quote(str(folder))}"
    _introduce(folder, progress, prepared, display=display)
    with stop.waits():
        run_epochs(learner, progress, prepared, display=display, stop=stop, keep=keeper)
    finish(folder, learner, progress, prepared, display=display)


def _introduce(folder: Path, progress: Progress, prepared: Prepared, *, display: Display) -> None:
    config, processes, network = prepared.config, prepared.processes, prepared.network
    held_out = f", {len(prepared.val):,} held out for validation" if prepared.val is not None else ""
    several = f", {processes.world} processes" if processes.world > 1 else ""
    title = f"{network.name} ({summary(network).params:,} parameters) on {config.data}: {len(prepared.train):,} images"
    where = f"recipe {config.recipe}, {plural(config.epochs, 'epoch')} on {processes.device}{several}; run {folder}"
    display.begin(
        title=f"{title}{held_out}\n{where}",
        steps=prepared.steps,
        done=progress.step,
    )
    for note in network.notes:
        display.note(note)
    bad = len(prepared.seen.bad) + len(prepared.seen.bad_test)
    if bad:
        display.note(f"warning: {bad} unreadable images are left out")
    if progress.stopped or progress.epoch >= config.epochs:
        display.note(f"trained already, {progress.epoch} epochs; the results are written again (more: --epochs N)")
    elif progress.step:
        display.note(f"going on after step {progress.step:,}, in epoch {progress.epoch + 1}")


def _circumstances(processes: Processes) -> dict[str, Any]:
    """What the bits of a run depend on besides its settings and images."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": processes.device.type,
        "kernels": "none" if library.why_not() is not None else library.active(),
        "processes": processes.world,
    }


def _take_up(found: checkpoint.Checkpoint, learner: Trainee, prepared: Prepared, display: Display) -> Progress:
    """The progress of a checkpoint, with its arrays put in place."""
    for name, now in _circumstances(prepared.processes).items():
        then = found.record.get(name)
        if then != now:
            display.note(f"warning: {name}: {then} then, {now} now: the same bits are not promised")
    learner.restore(found)
    progress, patience = from_json(found.record["progress"]), prepared.config.patience
    if not patience:
        learner.forget_best()
    elif not learner.best:
        progress.forget_best()
    progress.stopped = progress.stopped and (progress.stale >= patience > 0 or has_ended(prepared.config, progress))
    return progress


def _refuse_another_run(folder: Path, before: Config, config: Config, changed: list[str]) -> None:
    forbidden = [name for name in changed if name not in RESUMABLE]
    if forbidden:
        differences = "; ".join(f"{name}: {getattr(before, name)} -> {getattr(config, name)}" for name in forbidden)
        raise ConfigError(
            f"{differences} would be another run than {folder}",
            code="RESUME-CHANGED",
            hint=f"Begin a new one with: verydeep train --config {shlex.quote(str(folder / files.CONFIG))}",
        )


def _anchored(config: Config) -> Config:
    """The settings with absolute paths, so that the run goes on from any folder."""
    changes: dict[str, Any] = {
        name: getattr(config, name).absolute()
        for name in ("data_root", "grow_from", "start_from")
        if getattr(config, name) is not None
    }
    if is_folder(config.data):
        changes["data"] = str(Path(config.data).absolute())
    return config.updated(**changes)


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
            except OSError as error:
                raise ConfigError(
                    f"{folder} cannot be made here: {error.strerror}", code="OUT", hint="Choose a folder with --out."
                ) from None
            return folder
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = any(out.iterdir())
    except OSError as error:
        raise ConfigError(
            f"--out {out} cannot be a run folder: {error.strerror}", code="OUT", hint="Choose another folder."
        ) from None
    if taken:
        raise ConfigError(
            f"--out {out} is not empty",
            code="OUT-TAKEN",
            hint=f"Choose another folder, or go on with: verydeep resume {shlex.quote(str(out))}",
        )
    return out


def _describe(folder: Path, config: Config, network: Network) -> None:
    """The files that make a folder a run; the settings come last, because they are its mark."""
    text = json.dumps({"run": uuid4().hex, **environment()}, indent=2)
    write_atomic(folder / files.ENVIRONMENT, text.encode())
    write_atomic(folder / files.NETWORK, (spec_json.dumps(network, indent=2) + "\n").encode())
    write_atomic(folder / files.CONFIG, config.to_yaml().encode())


def _run_id(folder: Path) -> str:
    return str(read_record(folder / files.ENVIRONMENT).get("run"))


@contextmanager
def _locked(folder: Path, processes: Processes) -> Iterator[None]:
    """Hold the folder for the first process; where it cannot, all processes learn why."""
    held = lock(folder) if processes.is_first else nullcontext()
    processes.on_first(held.__enter__)
    try:
        yield
    finally:
        if processes.is_first:
            held.__exit__(None, None, None)
