"""HDF5 files that point elsewhere, claim more than they hold, or bring code in their descriptions."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.untrusted.corpus.valid import BIAS, KERNEL, keras

SECRET = b"SECRET-" * 16  # what must not come out of another file


def write(change: Callable[[h5py.File], object], **options: object) -> bytes:
    """A sound file of weights after `change`."""
    file = io.BytesIO()
    with h5py.File(file, "w", **options) as root:
        root.attrs["layer_names"] = [b"conv1_1"]
        group = root.create_group("conv1_1")
        group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        group["kernel:0"] = KERNEL
        group["bias:0"] = BIAS
        change(root)
    return file.getvalue()


def config(value: object) -> Callable[[h5py.File], object]:
    """A model_config attribute."""
    return lambda root: root.attrs.__setitem__("model_config", value if isinstance(value, str) else json.dumps(value))


def _low(root: h5py.File, shape: tuple[int, ...], chunk: tuple[int, ...] | None = None, **options: object) -> None:
    """A data set of which no value is stored."""
    space = h5py.h5s.create_simple(shape)
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if chunk:
        how.set_chunk(chunk)
    if options.get("deflate"):
        how.set_deflate(9)
    if options.get("fill"):
        how.set_fill_value(np.array(7.0, "<f4"))
    h5py.h5d.create(root["conv1_1"].id, b"claimed", h5py.h5t.IEEE_F32LE, space, dcpl=how)


def _deep(root: h5py.File) -> None:
    group = root
    for _ in range(200):
        group = group.create_group("g")
    group["w"] = BIAS


def wide(root: h5py.File) -> None:
    """Many groups, as many as a large model has."""
    for number in range(3000):
        root.create_group(f"g{number}")


def _virtual(root: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((7,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "data", (7,))
    root.create_virtual_dataset("v", layout)


def _filtered(root: h5py.File, number: int) -> None:
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_chunk((4,))
    how.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
    h5py.h5d.create(root.id, b"w", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)), dcpl=how)


def _large_piece(root: h5py.File) -> None:
    data = root.create_dataset(
        "w", (4,), "f4", maxshape=(None,), chunks=(2**26,), compression="gzip", compression_opts=1
    )
    data[:] = 1


def _bomb(root: h5py.File, count: int, chunk: int, name: str = "w") -> None:
    data = root.create_dataset(name, (count,), "f4", chunks=(chunk,), compression="gzip", compression_opts=9)
    for start in range(0, count, chunk):
        data[start : start + chunk] = 0


def _lambda(name: str, entry: dict[str, object]) -> dict[str, object]:
    return {"class_name": name, "config": {"layers": [entry]}}


def hostile(secret: Path) -> dict[str, bytes]:
    """Files by what is wrong with them; `secret` is another file that some of them point to."""
    other = secret.with_suffix(".h5")
    with h5py.File(other, "w") as file:
        file["data"] = np.frombuffer(SECRET, "u1")
    (secret).write_bytes(SECRET)
    reference = h5py.special_dtype(ref=h5py.Reference)
    region = h5py.special_dtype(ref=h5py.RegionReference)
    evil = {"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAA==", None, None], "module": "os"}}
    changes: dict[str, Callable[[h5py.File], object]] = {
        "external storage": lambda f: f.create_dataset("w", (7,), "u1", external=[(str(secret), 0, 7)]),
        "external storage, relative": lambda f: f.create_dataset("w", (7,), "u1", external=[(secret.name, 0, 7)]),
        "external storage, in parts": lambda f: f.create_dataset(
            "w", (14,), "u1", external=[(str(secret), 0, 7), ("/proc/self/environ", 0, 7)]
        ),
        "external storage, endless": lambda f: f.create_dataset(
            "w", (7,), "u1", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)]
        ),
        "external storage, a pipe": lambda f: f.create_dataset("w", (7,), "u1", external=[("/dev/stdin", 0, 7)]),
        "external link": lambda f: f.__setitem__("w", h5py.ExternalLink(str(other), "data")),
        "external link in a group": lambda f: f["conv1_1"].__setitem__("w", h5py.ExternalLink(other.name, "/data")),
        "external link to itself": lambda f: f.__setitem__("w", h5py.ExternalLink("stranger", "/")),
        "soft link": lambda f: f.__setitem__("w", h5py.SoftLink("/conv1_1/kernel:0")),
        "soft link to nothing": lambda f: f.__setitem__("w", h5py.SoftLink("/nowhere")),
        "soft link to itself": lambda f: f.__setitem__("w", h5py.SoftLink("/w")),
        "soft link upwards": lambda f: f["conv1_1"].__setitem__("w", h5py.SoftLink("/")),
        "loop": lambda f: f["conv1_1"].__setitem__("up", f["/"]),
        "loop to itself": lambda f: f["conv1_1"].__setitem__("me", f["conv1_1"]),
        "one data set by two names": lambda f: f.__setitem__("again", f["conv1_1/kernel:0"]),
        "virtual": lambda f: _virtual(f, other),
        "virtual of this file": lambda f: _virtual(f, Path()),
        "object reference": lambda f: f.create_dataset("w", data=np.array([f.ref], reference), dtype=reference),
        "region reference": lambda f: f.create_dataset(
            "w", data=np.array([f["conv1_1/bias:0"].regionref[:2]], region), dtype=region
        ),
        "vlen text": lambda f: f.create_dataset("w", data=np.array(["a" * 99], object), dtype=h5py.string_dtype()),
        "vlen numbers": lambda f: f.create_dataset("w", (1,), h5py.vlen_dtype(np.float32)),
        "fixed text": lambda f: f.create_dataset("w", data=np.array([b"abc"])),
        "compound": lambda f: f.create_dataset("w", data=np.zeros(2, [("a", "f4"), ("b", "f4")])),
        "complex": lambda f: f.create_dataset("w", data=np.zeros(2, "c8")),
        "array type": lambda f: f.create_dataset("w", (2,), "(3,)f4"),
        "opaque": lambda f: f.create_dataset("w", data=np.zeros(2, "V8")),
        "named type": lambda f: f.__setitem__("t", np.dtype("f4")),
        "64 GiB": lambda f: _low(f, (2**34,)),
        "64 GiB of one value": lambda f: _low(f, (2**34,), fill=True),
        "64 GiB in pieces": lambda f: _low(f, (2**34,), chunk=(1024,)),
        "64 GiB packed": lambda f: _low(f, (2**34,), chunk=(1024,), deflate=True),
        "2**60 numbers": lambda f: _low(f, (2**30, 2**30), chunk=(1, 1024)),
        "a piece of 3 GB": lambda f: _low(f, (3 * 2**28,), chunk=(3 * 2**28,), deflate=True),
        "many pieces of nothing": lambda f: _low(f, (2**22,), chunk=(1,), deflate=True),
        "packed a thousand times": lambda f: _bomb(f, 2**26, 2**22),
        "a piece larger than its data set": _large_piece,
        "many data sets of zeros": lambda f: [
            _bomb(f, 15_000_000, 1_000_000, name=f"w{number}") for number in range(3)
        ],
        "packed in one piece": lambda f: _bomb(f, 2**25, 2**25),
        "no values stored": lambda f: _low(f, (100,)),
        "LZF": lambda f: f.create_dataset("w", data=BIAS, chunks=(4,), compression="lzf"),
        "scale-offset": lambda f: f.create_dataset("w", data=BIAS.astype("i4"), chunks=(4,), scaleoffset=0),
        "a filter of others": lambda f: _filtered(f, 32001),
        "an unregistered filter": lambda f: _filtered(f, 511),
        "deeper than any model": _deep,
        "a name that climbs": lambda f: f.id.links.create_soft(b"..", b"/"),
        "a name of control characters": lambda f: f.create_group("a\x1b[2J\n"),
        "a name that is no text": lambda f: h5py.h5g.create(f.id, b"\xff\xfe"),
        "backend of numbers": lambda f: f.attrs.__setitem__("backend", np.arange(3)),
        "backend of references": lambda f: f.attrs.create("backend", [f.ref], dtype=reference),
        "backend of compounds": lambda f: f["conv1_1"].attrs.create("backend", np.zeros(2, [("a", "f4")])),
        "a Lambda layer": config(_lambda("Sequential", evil)),
        "a Lambda layer, deep": config(_lambda("Functional", _lambda("Functional", _lambda("Sequential", evil)))),
        "a pickled function": config(_lambda("Sequential", {"class_name": "__lambda__", "config": {"value": "gASV"}})),
        "code of others": config(_lambda("Sequential", {"module": "os", "class_name": "system", "config": "id"})),
        "code of a package": config({"module": "torch.hub", "class_name": "load", "config": {}}),
        "a description that is no JSON": config("{"),
        "a description without end": config("[" * 60_000),
        "a description that is a list": config([1]),
    }
    found = {name: write(change) for name, change in changes.items()}
    new = {f"{name}, in a .keras": keras(found[name]) for name in ("external storage", "virtual", "64 GiB")}
    new["a Lambda layer in a .keras"] = keras(config=_lambda("Sequential", evil))
    new["code of others in a .keras"] = keras(config={"module": "subprocess", "class_name": "Popen"})
    new["newest format: external link"] = write(changes["external link"], libver="latest")
    new["newest format: external storage"] = write(changes["external storage"], libver="latest")
    return found | new
