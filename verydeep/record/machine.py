"""Facts about this machine and installation, each found on its own; None or empty where one cannot be found."""

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import verydeep

CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16")  # what products are fast with
SECONDS = 5  # that git may take


def version(package: str) -> str | None:
    """The installed version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu() -> str | None:
    """The processor's name."""
    found = re.search(r"^model name\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or None


def cpu_flags() -> tuple[str, ...]:
    """Which of the instruction sets in CPU_FLAGS there are; Linux on x86 only."""
    found = re.search(r"^flags\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    return tuple(flag for flag in CPU_FLAGS if flag in flags)


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """The memory of the machine, or of the container where that is less."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # no such question on this system
        return None
    limit = _text(Path("/sys/fs/cgroup/memory.max")).strip()
    return min(physical, int(limit)) if limit.isdecimal() else physical


def cuda_devices() -> tuple[str, ...]:
    """The names of the GPUs that PyTorch can use."""
    try:
        import torch

        return tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    except Exception:  # a broken PyTorch or driver raises nearly anything, and is for `doctor` to name
        return ()


def threads() -> int | None:
    """The threads that PyTorch computes with."""
    try:
        import torch

        return torch.get_num_threads()
    except Exception:  # as above
        return None


def commit() -> str | None:
    """The git commit of verydeep's source, with -dirty if it was changed; None for an installed package."""
    folder = Path(verydeep.__file__).parent
    tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # and not somebody else's repository around it
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") if tracked else None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip() or None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
