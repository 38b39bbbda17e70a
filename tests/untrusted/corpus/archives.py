"""Zip archives that programs read differently, or that are more than they seem, made from a sound one."""

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache

END = struct.Struct("<4s4H2IH")
CENTRAL = struct.Struct("<4s6H3I5H2I")
LOCAL = struct.Struct("<4s5H3I2H")


@dataclass
class Entry:
    """A member as its two headers describe it; what is None is said truly."""

    name: bytes
    content: bytes
    local_name: bytes | None = None
    local_size: int | None = None
    local_method: int | None = None
    local_flags: int | None = None
    flags: int = 0
    method: int = 0
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    offset: int | None = None
    extra: bytes = b""
    is_listed: bool = True


def entries(data: bytes) -> list[Entry]:
    """The members of a sound archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [Entry(name.encode(), archive.read(name)) for name in archive.namelist()]


def written(
    members: list[Entry], *, before: bytes = b"", between: bytes = b"", after: bytes = b"", comment: bytes = b"",
    count: int | None = None, start: int | None = None, length: int | None = None, disk: int = 0, repeat: int = 1,
    long_place: int | None = None,
) -> bytes:  # fmt: skip
    """An archive with these members, true and false."""
    body, central = bytearray(before), bytearray()
    for entry in members:
        offset, real = len(body), len(entry.content)
        crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
        local_size = real if entry.local_size is None else entry.local_size
        name = entry.name if entry.local_name is None else entry.local_name
        method = entry.method if entry.local_method is None else entry.local_method
        flags = entry.flags if entry.local_flags is None else entry.local_flags
        body += LOCAL.pack(b"PK\x03\x04", 20, flags, method, 0, 0, crc, local_size, local_size, len(name), 0)
        body += name + entry.content
        if entry.is_listed:
            size = real if entry.size is None else entry.size
            packed = real if entry.packed is None else entry.packed
            place = offset if entry.offset is None else entry.offset
            central += CENTRAL.pack(
                b"PK\x01\x02", 20, 20, entry.flags, entry.method, 0, 0, crc, packed, size, len(entry.name),
                len(entry.extra), 0, 0, 0, 0, place,
            )  # fmt: skip
            central += entry.name + entry.extra
    body += between
    central *= repeat
    listed = sum(entry.is_listed for entry in members) * repeat
    total = listed if count is None else count
    records = b""
    if total >= 0xFFFF or long_place is not None:  # many need records in 64 bits
        place = len(body) + len(central) if long_place is None else long_place
        records = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, total, total, len(central), len(body))
        records += struct.pack("<4sIQI", b"PK\x06\x07", 0, place, 1)
    total = min(total, 0xFFFF)
    end = END.pack(
        b"PK\x05\x06",
        disk,
        0,
        total,
        total,
        len(central) if length is None else length,
        len(body) if start is None else start,
        len(comment),
    )
    return bytes(body + central) + records + end + comment + after


@cache
def hostile(data: bytes) -> dict[str, bytes]:
    """Archives made from the sound one in `data`, by what is wrong with them."""

    def with_new(name: bytes, content: bytes = b"evil") -> bytes:
        return written([*entries(data), Entry(name, content)])

    def changed(**changes: object) -> bytes:
        members = entries(data)
        for key, value in changes.items():
            setattr(members[-1], key, value)
        return written(members)

    members = entries(data)
    first, last = members[0], members[-1]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in members:
            archive.writestr(entry.name.decode(), entry.content)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in members:
            archive.writestr(entry.name.decode(), entry.content + bytes(20_000_000))
    bzip = io.BytesIO()
    with zipfile.ZipFile(bzip, "w", zipfile.ZIP_BZIP2) as archive:
        for entry in members:
            archive.writestr(entry.name.decode(), entry.content)
    root = first.name.partition(b"/")[0] + b"/" if b"/" in first.name else b""
    inner = written([Entry(b"evil.pkl", b"cos\nsystem\n(S'id'\ntR.")])
    return {
        "a name that climbs": with_new(root + b"../../../tmp/evil"),
        "an absolute name": with_new(b"/tmp/evil"),
        "a backslash": with_new(root + b"..\\evil"),
        "a drive": with_new(b"C:evil"),
        "a name of control characters": with_new(root + b"a\r\n\x1b[2J"),
        "a name twice": with_new(last.name, last.content),
        "a name twice, one evil": written([*members, Entry(first.name, b"evil")]),
        "packed": packed.getvalue(),
        "packed a thousand times": bomb.getvalue(),
        "packed by another method": bzip.getvalue(),
        "an unknown method": changed(method=97),
        "a method said only in the directory": changed(method=8, local_method=0),
        "a method said only before the member": changed(local_method=8),
        "encrypted": changed(flags=1),
        "strongly encrypted": changed(flags=1 << 6 | 1),
        "encrypted, it says once": changed(local_flags=1),
        "a hidden directory": changed(flags=1 << 13),
        "two members at one place": written([*members, Entry(root + b"other", b"", offset=0)]),
        "a member within another": written([*members, Entry(root + b"other", b"x", offset=20)]),
        "a wrong checksum": changed(crc=0x12345678),
        "another name before the member": changed(local_name=last.name[:-1] + b"~"),
        "another size before the member": changed(local_size=len(last.content) - 1),
        "a size that reaches into the directory": changed(size=len(last.content) + 9, packed=len(last.content) + 9),
        "a size beyond the end": changed(size=2**31, packed=2**31),
        "two sizes": changed(size=len(last.content) * 2),
        "a size of 2**63": changed(size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=struct.pack("<2H2Q", 1, 16, 2**63, 2**63)),
        "a size in 64 bits that is cut": changed(size=0xFFFFFFFF, extra=struct.pack("<2HI", 1, 4, 1)),
        "a member that is not listed": written([*members[:1], Entry(root + b"x", b"y", is_listed=False), *members[1:]]),
        "something before the directory": written(members, between=b"PK\x03\x04" + bytes(60)),
        "something before the archive": written(members, before=b"#!/bin/sh\nid\n"),
        "something behind the end": written(members, after=b"\n" + inner),
        "a comment": written(members, comment=b"PK\x05\x06" + bytes(18)),
        "another archive behind": written(members) + inner,
        "another archive before": inner + written(members),
        "too many listed": written(members, count=len(members) + 1),
        "too few listed": written(members, count=len(members) - 1),
        "none listed": written([]),
        "a directory that begins elsewhere": written(members, start=0),
        "a directory of another length": written(members, length=7),
        "several disks": written(members, disk=1),
        "a million members": written([Entry(b"a", b"")], repeat=1_000_000),
        "ten thousand members in one place": written([Entry(b"a", b"")], repeat=10_000),
        "records in 64 bits at 2**64": written(members, long_place=2**64 - 1),
        "records in 64 bits elsewhere": written(members, long_place=0),
        "an offset before the beginning": changed(offset=0xFFFFFFF0),
        "an archive within": with_new(root + b"data.pkl.py", inner),
    }
