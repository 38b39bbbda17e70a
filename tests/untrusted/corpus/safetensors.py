"""safetensors files whose headers lie, repeat themselves, or are there to waste time."""

import json
import struct
from functools import cache

from tests.untrusted.corpus.pickles import torch_zip
from tests.untrusted.corpus.valid import files

DATA = bytes(48)


def entry(begin: int = 0, end: int = 48, shape: object = (12,), dtype: object = "F32") -> dict[str, object]:
    """What the header says of a tensor."""
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [begin, end]}


def file(header: object, data: bytes = DATA, length: int | None = None) -> bytes:
    """A file with this header, an object or its text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _repeated(text: str) -> bytes:
    return file(text.replace("'", '"').encode())


@cache
def hostile() -> dict[str, bytes]:
    """Files by what is wrong with them."""
    one = json.dumps(entry())
    many = {f"t{number}": entry(0, 0, (0,)) for number in range(100_000)}
    small = {f"t{number}": entry(0, 0, (0,)) for number in range(60_000)}
    pad = b" " * 99_000_000
    return {
        "a header of 99 MB": file(b'{"a":' + one.encode() + pad + b"}"),
        "a header of 99 MB of text": file(
            b'{"__metadata__":{"a":"' + b"x" * 99_000_000 + b'"},"a":' + one.encode() + b"}"
        ),
        "a header of 7 MB of brackets": file(b"{" + b'"a":[' * 1_400_000),
        "100,000 entries": file(many),
        "60,000 entries of other bytes": file(small),
        "a length of 2**64": file({"a": entry()}, length=2**64 - 1),
        "a length of 2**63": file({"a": entry()}, length=2**63),
        "a length beyond the end": file({"a": entry()}, length=500),
        "a length of 0": file(b"", length=0),
        "a length that is too short": file({"a": entry()}, length=20),
        "a name twice": _repeated(f"{{'a':{one},'a':{one}}}"),
        "a name twice, once another": _repeated(f"{{'a':{one},'a':{json.dumps(entry(0, 40, (10,)))}}}"),
        "metadata twice": _repeated(f"{{'__metadata__':{{'x':'1'}},'__metadata__':{{'x':'2'}},'a':{one}}}"),
        "a key of an entry twice": file(b'{"a":{"dtype":"F32","dtype":"F32","shape":[12],"data_offsets":[0,48]}}'),
        "a shape twice": file(b'{"a":{"dtype":"F32","shape":[12],"shape":[6,2],"data_offsets":[0,48]}}'),
        "a hole": file({"a": entry(0, 20, (5,)), "b": entry(24, 48, (6,))}),
        "a hole before": file({"a": entry(4, 48, (11,))}),
        "bytes behind": file({"a": entry(0, 44, (11,))}),
        "bytes missing": file({"a": entry(0, 52, (13,))}),
        "overlapping": file({"a": entry(0, 28, (7,)), "b": entry(20, 48, (7,))}),
        "one within the other": file({"a": entry(), "b": entry(4, 8, (1,))}),
        "two that are the same": file({"a": entry(), "b": entry()}),
        "an end before the beginning": file({"a": entry(48, 0)}),
        "an offset of 2**63": file({"a": entry(2**63, 2**63 + 48)}),
        "an offset of 2**64": file({"a": entry(0, 2**64)}),
        "a negative offset": file({"a": entry(-48, 0)}),
        "an offset that is a fraction": file({"a": entry(0.0, 48.0)}),
        "an offset that is a text": file({"a": entry("0", "48")}),
        "three offsets": file({"a": {**entry(), "data_offsets": [0, 24, 48]}}),
        "a shape that needs more": file({"a": entry(shape=(13,))}),
        "a shape that needs less": file({"a": entry(shape=(11,))}),
        "a shape that overflows to 12": file({"a": entry(shape=(2**62 + 3, 4))}),
        "a shape of 2**64": file({"a": entry(shape=(2**32, 2**32))}),
        "a negative shape": file({"a": entry(shape=(-12,))}),
        "a shape of 0 and 2**63": file({"a": entry(0, 0, (0, 2**63, 2**63))}, data=b""),
        "a shape that is no list": file({"a": entry(shape=12)}),
        "a shape of fractions": file({"a": entry(shape=(12.0,))}),
        "a hundred axes": file({"a": entry(shape=(*(1,) * 99, 12))}),
        "an unknown type": file({"a": entry(dtype="F33")}),
        "a type that is a number": file({"a": entry(dtype=5)}),
        "a type that NumPy lacks": file({"a": entry(shape=(48,), dtype="F8_E4M3")}),
        "an entry that is a list": file({"a": [1]}),
        "an entry without a type": file({"a": {"shape": [12], "data_offsets": [0, 48]}}),
        "an entry with more": file({"a": {**entry(), "module": {"os": ["system"]}}}, data=b""),
        "metadata that is no object": file({"__metadata__": "x", "a": entry()}),
        "metadata that is deep": file({"__metadata__": {"a": {"b": {}}}, "a": entry()}),
        "JSON that is deep": file(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
        "no JSON": file(b"{a: 1}"),
        "JSON of another byte order mark": file(b"\xff\xfe" + json.dumps({"a": entry()}).encode("utf-16-le")),
        "bad UTF-8": file(b'{"a\xff":' + one.encode() + b"}"),
        "two objects": file(b'{"a":' + one.encode() + b"}{}"),
        "NaN": file(b'{"a":NaN}'),
        "an archive behind": files()["safetensors"] + torch_zip(b"\x80\x02}."),
        "only the header": file({"a": entry()}, data=b""),
        "cut short": file({"a": entry()}, data=DATA[:-1]),
    }
