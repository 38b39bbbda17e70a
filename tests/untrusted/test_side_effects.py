"""WTS-14: reading weights writes nothing, connects to nothing and starts only our own child, as the kernel sees it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.untrusted.conftest import ENVIRONMENT
from tests.untrusted.corpus.hdf5 import hostile as hostile_hdf5
from tests.untrusted.corpus.mat import hostile as hostile_mat
from tests.untrusted.corpus.pickles import gadgets, torch_zip
from tests.untrusted.corpus.valid import files

CALLS = (
    "execve,execveat,socket,connect,bind,open,openat,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,"
    "mkdirat,rmdir,link,linkat,symlink,symlinkat,truncate,ftruncate,chmod,fchmod,fchmodat,chown,utimensat,prlimit64,ptrace"
)
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
READ_ALL = """
import json, sys
from pathlib import Path
from verydeep.errors import WeightsError
from verydeep.weights.file_kinds import read
import h5py
print("ready", file=sys.stderr, flush=True)
for path in json.loads(sys.argv[1]):
    try:
        print(read(Path(path)).kind)
    except WeightsError as error:
        print(error.code)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_kernel_sees_no_write_no_connection_and_no_program_but_our_child(tmp_path):
    sources = dict(files())
    payloads = gadgets(tmp_path, tmp_path / "canary")
    sources["a gadget"] = torch_zip(payloads["posix.system"])
    for name in ("external storage", "external link", "a Lambda layer"):
        sources[f"hdf5: {name}"] = hostile_hdf5(tmp_path / "secret")[name]
    sources["mat: an object"] = hostile_mat()["an object"]
    folder = tmp_path / "samples"
    folder.mkdir()
    paths = []
    for number, data in enumerate(sources.values()):
        paths.append(str(folder / str(number)))
        Path(paths[-1]).write_bytes(data)
    log = tmp_path / "log"
    before = sorted(path.stat().st_mtime_ns for path in folder.rglob("*"))
    watch = ["strace", "-f", "-s", "300", "-o", str(log), "-e", f"trace={CALLS}"]
    said = subprocess.run(
        [*watch, sys.executable, "-B", "-c", READ_ALL, json.dumps(paths)],
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"PYTHONDONTWRITEBYTECODE": "1"},
        timeout=200,
        cwd=folder,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split()[: len(files())] == [name.partition(" ")[0] for name in files()]
    assert all(word.startswith("WEIGHTS-") for word in said.stdout.split()[len(files()) :])
    assert sorted(path.stat().st_mtime_ns for path in folder.rglob("*")) == before
    lines = log.read_text().splitlines()
    started = [
        line for line in lines if "execve(" in line and "= 0" in line and '["uname", "-p"]' not in line
    ]  # of h5py
    confined = sum(
        name.partition(" ")[0].rstrip(":") in ("hdf5", "keras", "caffemodel", "mat", "mxnet") for name in sources
    )
    assert len(started) == 1 + confined
    assert all("confined_child" in line for line in started[1:])
    assert not [
        line for line in lines if re.search(r"\b(socket|connect|bind|ptrace|unlink|rename|mkdir|symlink)\w*\(", line)
    ]
    assert not [line for line in lines if "open" in line and WRITES.search(line) and "/dev/null" not in line]
    _no_open_after_the_limit(lines)


def _no_open_after_the_limit(lines: list[str]) -> None:
    """In each confined child, no file is opened once it has given that up."""
    limited: set[str] = set()
    for line in lines:
        process = line.split()[0]
        if "RLIMIT_NOFILE, {rlim_cur=0, rlim_max=0}" in line:
            limited.add(process)
        assert not (process in limited and "open" in line and re.search(r"= \d+$", line)), line
    assert limited, "no child has given anything up"
