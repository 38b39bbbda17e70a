"""What a machine may lack for training, one check for each thing, and how to mend it.

Whatever may be broken is imported inside the check that would find it.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from verydeep.errors import ConfigError, DataError
from verydeep.record.machine import cores, cpu, cpu_flags, cuda_devices, memory_bytes, version

PYTHON = (3, 11)
MINIMUM = {  # as in pyproject.toml
    "torch": "2.11",
    "torchvision": "0.26",
    "numpy": "2.0",
    "pillow": "12.3",
    "safetensors": "0.6",
    "scikit-learn": "1.6",
    "matplotlib": "3.10",
    "jinja2": "3.1.6",
    "cyclopts": "5",
    "pydantic": "2.11",
    "pyyaml": "6.0.2",
    "rich": "14",
    "scipy": "1.15",
}
GIGABYTE = 1_000_000_000
LEAST_DISK = 2 * GIGABYTE  # a few checkpoints of net A: 133 million weights and their momentum are 1.1 GB
LEAST_MEMORY = 4 * GIGABYTE  # net A with momentum and a small batch
LEAST_SHARED = 256_000_000  # bytes of /dev/shm: two workers with two batches of 128 RGB images of 224 pixels each


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question about the machine."""

    name: str
    status: Literal["ok", "warn", "fail"]  # fail: verydeep will not work; warn: something will be slow or missing
    detail: str
    fix: str = ""  # what to do; empty if there is nothing to do


def answer(name: str, check: Callable[[], Finding]) -> Finding:
    """The check's finding; of a check that breaks, that it did."""
    try:
        return check()
    except Exception as error:  # whatever is broken on this machine, the other questions are still asked
        detail = f"the check failed: {type(error).__name__}: {' '.join(str(error).split())}"
        return Finding(name, "fail", detail, "Mend what it names, or reinstall verydeep into a new environment.")


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON:
        return Finding("python", "fail", f"{found} is too old", "Install Python 3.11 or newer.")
    return Finding("python", "ok", found)


def _packages() -> Finding:
    wrong = [_lacking(name, least) for name, least in MINIMUM.items()]
    missing = [text for text in wrong if text]
    if missing:
        names = " ".join(f"'{name}>={MINIMUM[name]}'" for name, text in zip(MINIMUM, wrong, strict=True) if text)
        return Finding("packages", "fail", "; ".join(missing), f"pip install --upgrade {names}")
    return Finding("packages", "ok", f"{len(MINIMUM)} packages are new enough")


def _lacking(name: str, least: str) -> str:
    found = version(name)
    if found is None:
        return f"{name} is not installed"
    return f"{name} {found} is older than {least}" if _numbers(found) < _numbers(least) else ""


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version: (2, 11) of "2.11.0rc1+cpu"; zeros at its end do not count."""
    release = re.match(r"\d+(\.\d+)*", text)
    parts = [int(part) for part in release[0].split(".")] if release else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _torch() -> Finding:
    try:
        import torch

        product = torch.ones(2, 2) @ torch.ones(2, 2)
    except Exception as error:
        detail = f"torch {version('torch')} does not work: {_first_line(error)}"
        return Finding("torch", "fail", detail, "pip install --force-reinstall torch torchvision")
    if product.sum() != 8:
        return Finding("torch", "fail", "a 2x2 product is wrong", "Reinstall torch, or try another machine.")
    return Finding("torch", "ok", f"{torch.__version__} computes")


def _torchvision() -> Finding:
    pair = f"torchvision {version('torchvision')} with torch {version('torch')}"
    try:
        import torch
        from torchvision.ops import nms

        kept = nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except Exception as error:  # "operator torchvision::nms does not exist" where the two were built apart
        detail = f"{pair} do not work together: {_first_line(error)}"
        return Finding("torchvision", "fail", detail, "Install both at once: pip install --upgrade torch torchvision")
    return Finding("torchvision", "ok", f"{pair}, compiled operators run on {len(kept)} box")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    detail = f"{free / GIGABYTE:.1f} GB free in the current folder"
    if free < LEAST_DISK:
        return Finding("disk", "warn", detail, "Free some space, or write runs elsewhere with --out.")
    return Finding("disk", "ok", detail)


def _writable() -> Finding:
    try:
        with tempfile.TemporaryFile(dir=Path.cwd()):
            return Finding("folder", "ok", "the current folder can be written to")
    except OSError as error:
        detail = f"nothing can be written in the current folder: {error.strerror}"
        return Finding("folder", "warn", detail, "Change to another folder, or name one with --out.")


def _memory() -> Finding:
    total = memory_bytes()
    if total is None:
        return Finding("memory", "ok", "its size cannot be found out on this system")
    detail = f"{total / GIGABYTE:.1f} GB"
    if total < LEAST_MEMORY:
        return Finding("memory", "warn", detail, "Train with a smaller --batch, or with --accumulate 4.")
    return Finding("memory", "ok", detail)


def _shared_memory() -> Finding:
    place, fix = Path("/dev/shm"), "Start the container with --shm-size=1g, or train with --workers 0."
    if not place.is_dir():
        status = "warn" if sys.platform == "linux" else "ok"
        return Finding("shared memory", status, "there is no /dev/shm", fix if status == "warn" else "")
    total = shutil.disk_usage(place).total
    detail = f"{total / GIGABYTE:.2f} GB in /dev/shm, through which workers hand over images"
    return (
        Finding("shared memory", "warn", detail, fix)
        if total < LEAST_SHARED
        else Finding("shared memory", "ok", detail)
    )


def _processor() -> Finding:
    flags, threads = cpu_flags(), os.environ.get("OMP_NUM_THREADS", "")
    detail = f"{cpu() or 'unknown'}, {cores()} cores, {' '.join(flags) or 'no vector instructions known'}"
    if threads.isdecimal() and int(threads) > cores():
        fix = f"Set OMP_NUM_THREADS to {cores()} or unset it."
        return Finding("processor", "warn", f"{detail}; {threads} threads are asked for", fix)
    return Finding("processor", "ok", detail)


def _kernels() -> Finding:
    import torch

    from verydeep.engine import library

    fix = "Install a C++17 compiler (on Debian: apt install g++) and run pip install again."
    try:
        why = library.why_not()
    except ConfigError as error:  # VERYDEEP_ISA asks for what there is not
        return Finding("kernels", "fail", error.message, error.hint)
    if why is not None:
        return Finding("kernels", "warn", f"{why}; networks run through PyTorch", fix)
    others = ", ".join(name for name in library.instruction_sets() if name != library.active())
    threads = torch.get_num_threads()
    detail = f"{library.active()} on {threads} thread{'s' if threads > 1 else ''}"
    return Finding("kernels", "ok", f"{detail}; {library.VARIABLE} may choose {others}" if others else detail)


def _bf16() -> Finding:
    if cuda_devices() or {"avx512_bf16", "amx_bf16"} & set(cpu_flags()):
        return Finding("bf16", "ok", "the hardware multiplies bf16: --precision bf16 is worth a try")
    return Finding("bf16", "ok", "not in this hardware: train in float32 (the engine's bf16 needs none)")


def _gpu() -> Finding:
    devices = cuda_devices()
    if devices:
        return Finding("gpu", "ok", ", ".join(devices))
    import torch

    if torch.version.cuda and Path("/dev/nvidiactl").exists():
        detail = f"there is an NVIDIA GPU that torch (CUDA {torch.version.cuda}) cannot use"
        return Finding("gpu", "warn", detail, "Update the NVIDIA driver, or install a torch for its CUDA version.")
    return Finding("gpu", "ok", "none; everything runs on the CPU")


def _processes() -> Finding:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets
    given = {name: os.environ[name] for name in names if name in os.environ}
    if not given:
        return Finding("processes", "ok", "one; start several with torchrun --nproc-per-node N -m verydeep train")
    absent = [name for name in names if name not in given]
    if absent:
        detail = f"{', '.join(given)} set, but not {', '.join(absent)}"
        return Finding("processes", "warn", detail, "Start with torchrun, which sets all of them, or unset them.")
    return Finding("processes", "ok", f"rank {given['RANK']} of {given['WORLD_SIZE']}, from torchrun's variables")


def _data() -> Finding:
    from verydeep.data.catalog import DATASETS, DEFAULT_ROOT, ROOT_VARIABLE, load

    named = os.environ.get(ROOT_VARIABLE)
    root = Path(named or DEFAULT_ROOT)
    where = f"{ROOT_VARIABLE}={root}" if named else f"{root}/ (as {ROOT_VARIABLE} is not set)"
    if named and not root.is_dir():
        return Finding("data", "fail", f"{where} is no folder", f"Correct or unset {ROOT_VARIABLE}.")
    found, damaged = [], []
    for name in (name for name, dataset in DATASETS.items() if dataset.classes is not None):
        try:
            load(name, split="test", root=root)
            found.append(name)
        except DataError as error:
            if error.code != "DATA-MISSING":
                damaged.append(error.message)
    if damaged:
        return Finding("data", "warn", "; ".join(damaged), "Replace the files it names, or fetch them with --download.")
    others = "" if len(found) > 1 else "; digits comes with scikit-learn, others need --data-root or --download"
    return Finding("data", "ok", f"{where}: {', '.join(found) or 'no data sets'}{others}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


CHECKS: dict[str, Callable[[], Finding]] = {
    "python": _python,
    "packages": _packages,
    "torch": _torch,
    "torchvision": _torchvision,
    "processor": _processor,
    "kernels": _kernels,
    "bf16": _bf16,
    "gpu": _gpu,
    "memory": _memory,
    "shared memory": _shared_memory,
    "disk": _disk,
    "folder": _writable,
    "processes": _processes,
    "data": _data,
}
