"""A saver to be killed, starved and cut off: one process that has imported torch forks a child for every trial.

    python saver.py FOLDER JOB [JOB ...]      where a job is one of, in quotes:

    random --trials 60 --seed 0     SIGKILL at random moments of a saving loop
    positions --mode next           the process ends at call 1, 2, ... of one save
    limit                           RLIMIT_FSIZE below, at and above what a file needs
    disk --trials 20                a disk in memory with room for 0 to 110 % of one save (inside `unshare -Urm`)

Each job prints one JSON line: how many trials, how many faults really struck, and what was wrong afterwards. With
`--without PROTECTION` the same trials run against a saver that lacks it, and must find something.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch

from verydeep.durable import free_bytes, write_synced
from verydeep.errors import ResourceError
from verydeep.training import checkpoint, manifest, retention
from verydeep.training.tensor_file import parts

RUN = "run-under-test"
WRITE, OTHER = 77, 78  # how a child ends at a call, so that a write can be tried again half done
CALLS = ("write", "fsync", "rename", "mkdir", "unlink", "rmdir")  # every way in which a save touches the disk


def tensors(step: int) -> dict[str, torch.Tensor]:
    """Weights that tell which step they are of, so that old and new cannot be mixed unnoticed."""
    return {f"conv{index}.weight": torch.full((5_000,), float(step)) for index in range(4)}


def save(folder: Path, step: int, *, keep: int = 1, tag: int = 0) -> None:
    state = {"momentum": torch.full((5_000,), float(-step))}
    checkpoint.save(folder, step=step, weights=tensors(step), state=state, record={"tag": tag}, run_id=RUN, keep=keep)


def fault(folder: Path, allowed: set[tuple[int, int]], *, damaged: str = "") -> str:
    """What is wrong with the newest checkpoint, where `allowed` are the (step, tag) it may have; empty if nothing.

    `damaged` names the one checkpoint that was damaged before the trial, and may be passed over.
    """
    found, skipped = checkpoint.latest(folder, run_id=RUN)
    if found is None:
        return f"nothing loads; skipped: {[one.reason for one in skipped]}"
    if any(one.path.name != damaged for one in skipped):
        return f"a kill left something that looks damaged: {skipped}"
    if (found.step, found.record["tag"]) not in allowed:
        return f"step {found.step} tag {found.record['tag']} is neither old nor new: {sorted(allowed)}"
    wrong = [name for name, value in found.weights.items() if not torch.equal(value, tensors(found.step)[name])]
    return f"wrong values in {wrong}" if wrong else ""


def litter(folder: Path) -> str:
    return ", ".join(path.name for path in folder.glob(".*"))


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child and return how it ended (os.waitstatus_to_exitcode)."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except ResourceError as error:
            os._exit(6 if error.code == "DISK-FULL" else 7)
        except BaseException as error:
            print(f"child: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def end_at(position: int, *, torn: bool) -> None:
    """Make this process end just before its `position`-th call, or half-way through it if it is a write."""
    count = 0

    def wrapped(real: Callable, name: str) -> Callable:
        def call(*arguments, **options):
            nonlocal count
            count += 1
            if count == position:
                if torn:
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os._exit(WRITE if name == "write" else OTHER)
            return real(*arguments, **options)

        return call

    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name), name))


def remove_protection(name: str) -> None:
    """Take one protection out of the saver, as the usual hand-written saver would be."""

    def in_place(folder: Path, *, step: int, weights: dict, state: dict, record: dict, run_id: str, keep: int) -> None:
        for path in retention.newest_first(folder):
            shutil.rmtree(path)
        target = folder / f"step-{step:08d}"
        target.mkdir(parents=True)
        text = [json.dumps(record).encode()]
        contents = {manifest.WEIGHTS: parts(weights), manifest.STATE: parts(state), manifest.RECORD: text}
        files = {name: manifest.File(*write_synced(target / name, data)) for name, data in contents.items()}
        write_synced(target / manifest.NAME, [manifest.sealed(manifest.Manifest(run_id, step, files))])

    def old_first(target: Path, *, run_id: str) -> None:  # timm's _replace: unlink, then rename
        shutil.rmtree(target, ignore_errors=True)

    def rotate_first(temporary: Path, *, run_id: str) -> None:  # make room before the new one is in place
        for path in retention.newest_first(temporary.parent):
            shutil.rmtree(path)

    def no_cleaning(path: Path, *, ignore_errors: bool) -> None:
        pass

    match name:
        case "aside":
            checkpoint.save = in_place
        case "make-way":
            checkpoint.make_way = old_first
        case "order":
            checkpoint._read_back = rotate_first
        case "cleaning":
            checkpoint.shutil = SimpleNamespace(rmtree=no_cleaning)
        case "hiding":
            retention._discard = shutil.rmtree
        case _:
            raise SystemExit(f"no protection is called {name}")


def random_kills(folder: Path, *, trials: int, seed: int) -> dict:
    chance = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    save(folder, 1)
    start = time.perf_counter()
    save(folder, 2)
    one_save = time.perf_counter() - start  # seconds, on this disk and with its other users
    faults, last, during = [], 2, 0
    for trial in range(trials):
        child = os.fork()
        if child == 0:
            step = last
            while True:
                step += 1
                save(folder, step)
        time.sleep(chance.uniform(0.001, 0.005 + 4 * one_save))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        during += bool(litter(folder))
        found, _ = checkpoint.latest(folder, run_id=RUN)
        allowed = {(step, 0) for step in range(last, last + 10_000)}
        if wrong := fault(folder, allowed):
            faults.append(f"trial {trial}: {wrong}")
        last = found.step if found else last
    save(folder, last + 1)
    if left := litter(folder):
        faults.append(f"litter after a good save: {left}")
    return {"trials": trials, "struck": during, "steps": last, "faults": faults}


def kill_positions(folder: Path, *, mode: str) -> dict:
    """End at every call of one save: of the next step, the same again, the same over a damaged one, an earlier one."""
    old, new = {
        "next": ((2, 1), (3, 2)),
        "again": ((2, 1), (2, 2)),
        "damaged": ((1, 0), (2, 2)),
        "back": ((2, 1), (1, 2)),
    }[mode]
    faults, struck, position, ended = [], 0, 0, None
    while ended != 0 and len(faults) < 5:
        position += 1
        for torn in (False, True):
            shutil.rmtree(folder, ignore_errors=True)
            save(folder, 1, keep=2)
            save(folder, 2, keep=2, tag=1)
            if mode == "damaged":
                (folder / "step-00000002" / manifest.RECORD).write_text("{}")

            def work(position=position, torn=torn) -> None:
                end_at(position, torn=torn)
                save(folder, new[0], keep=1, tag=new[1])

            ended = in_child(work)
            struck += ended in (WRITE, OTHER)
            where = f"call {position}{', torn' if torn else ''}"
            if ended not in (0, WRITE, OTHER):
                faults.append(f"{where}: the child ended with {ended}")
            if wrong := fault(folder, {old, new}, damaged="step-00000002" if mode == "damaged" else ""):
                faults.append(f"{where}: {wrong}")
            save(folder, 9, keep=1)
            if left := litter(folder):
                faults.append(f"{where}: litter after the next save: {left}")
            if ended != WRITE:
                break
    return {"trials": struck + 1, "struck": struck, "faults": faults}


def starve(folder: Path, sizes: list[int], limit: Callable[[int], None], *, unlimit: Callable[[], None]) -> dict:
    """Save under each limit: it succeeds, or ends with ResourceError, leaves no litter, and the old one loads."""
    faults, struck = [], 0
    for size in sizes:
        unlimit()
        shutil.rmtree(folder, ignore_errors=True)
        save(folder, 1, tag=1)

        def work(size=size) -> None:
            limit(size)
            save(folder, 2, tag=2)

        ended = in_child(work)
        struck += ended == 6
        allowed = {(2, 2)} if ended == 0 else {(1, 1)}
        if ended not in (0, 6):
            faults.append(f"{size} bytes: the child ended with {ended}")
        if wrong := fault(folder, allowed):
            faults.append(f"{size} bytes: {wrong}")
        if left := litter(folder):
            faults.append(f"{size} bytes: litter: {left}")
        unlimit()
        save(folder, 3)
    return {"trials": len(sizes), "struck": struck, "faults": faults}


def file_limits(folder: Path) -> dict:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    sizes = [0, 1, 100, 4096, 19_999, 20_000, 50_000, 80_000, 90_000]
    return starve(folder, sizes, limit, unlimit=lambda: None)


def disk_sizes(folder: Path, *, trials: int) -> dict:
    """Fill a tmpfs of this process's own so far that 0 to 110 % of one save still fits."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
    one = 120_000  # bytes of one save, and the blocks that its small files and folders take

    def limit(size: int) -> None:
        with (disk / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free_bytes(disk) - size)

    def unlimit() -> None:
        (disk / "ballast").unlink(missing_ok=True)

    sizes = [one * 110 * trial // (100 * trials) for trial in range(trials + 1)]
    return starve(disk / "checkpoints", sizes, limit, unlimit=unlimit)


def job(folder: Path, text: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("random", "positions", "limit", "disk"))
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", choices=("next", "again", "damaged", "back"), default="next")
    parser.add_argument("--without")
    given = parser.parse_args(text.split())
    if given.without:
        remove_protection(given.without)
    match given.kind:
        case "random":
            result = random_kills(folder, trials=given.trials, seed=given.seed)
        case "positions":
            result = kill_positions(folder, mode=given.mode)
        case "limit":
            result = file_limits(folder)
        case _:
            result = disk_sizes(folder, trials=given.trials)
    print(json.dumps(result), flush=True)


def main() -> None:
    torch.set_num_threads(1)
    folder, *jobs = sys.argv[1:]
    for number, text in enumerate(jobs):
        ended = in_child(lambda number=number, text=text: job(Path(folder) / str(number), text))
        if ended:
            raise SystemExit(f"job {text!r} ended with {ended}")


if __name__ == "__main__":
    main()
