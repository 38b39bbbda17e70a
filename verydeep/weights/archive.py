"""A zip archive that can be read in one way only: stored, whole, nothing hidden, twice, encrypted or behind the end.

Programs disagree on a zip whose parts contradict each other, and what one of them checks another loads. PyTorch and
Keras both write plain archives, so anything else is refused (APPNOTE.TXT, the format's description by PKWARE).
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from verydeep.weights import refusals

MOST_MEMBERS = 20_000
MOST_DIRECTORY = 4_000_000  # bytes
MOST_CONTENT = 16_000_000  # bytes of a member that is read whole: a description, a pickle
MOST_BETWEEN = 24  # bytes that may stand between two members: a data descriptor with 64-bit sizes

LOCAL = struct.Struct("<4s5H3I2H")
END = struct.Struct("<4s4H2IH")
END_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR_64 = struct.Struct("<4sIQI")
DESCRIPTOR_FOLLOWS, ENCRYPTED = 1 << 3, 1 << 0 | 1 << 6 | 1 << 13
UNSAID = 0xFFFFFFFF  # of a size that stands elsewhere, because it needs 64 bits


@dataclass(frozen=True, slots=True)
class Member:
    """Where the bytes of one name lie."""

    name: str
    start: int
    size: int
    crc: int


def members(file: BinaryIO) -> dict[str, Member]:
    """The members by name, in the order in which they lie.

    Raises:
        WeightsError: two programs could read this archive differently, or it is no archive.
    """
    size = file.seek(0, os.SEEK_END)
    directory, count = _directory(file, size)
    try:
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
        raise refusals.damaged(f"its archive is damaged: {error}") from None
    found: dict[str, Member] = {}
    end = 0
    for entry in entries:
        if not 0 <= entry.header_offset - end <= (MOST_BETWEEN if found else 0):
            raise refusals.damaged(f"{_shown(entry.filename)} in its archive overlaps another or hides something")
        member = _member(file, entry)
        if member.name in found:
            raise refusals.damaged(f"its archive holds {_shown(member.name)} twice")
        found[member.name] = member
        end = member.start + member.size
    if len(found) != count or not 0 <= directory - end <= MOST_BETWEEN:
        raise refusals.damaged("its archive holds something else than what its directory lists")
    return found


def verify(file: BinaryIO, chosen: Iterable[Member]) -> None:
    """Compare the checksum of each member with its bytes; WeightsError where one differs."""
    for member in chosen:
        file.seek(member.start)
        crc, rest = 0, member.size
        while rest and (part := file.read(min(rest, 1 << 20))):
            crc, rest = zlib.crc32(part, crc), rest - len(part)
        if rest or crc != member.crc:
            raise refusals.damaged(f"the bytes of {member.name} in its archive are not those that were written")


def content(file: BinaryIO, member: Member) -> bytes:
    """The bytes of a small member."""
    if member.size > MOST_CONTENT:
        raise refusals.damaged(f"{member.name} in its archive has {member.size} bytes")
    file.seek(member.start)
    return file.read(member.size)


def _directory(file: BinaryIO, size: int) -> tuple[int, int]:
    """Where the central directory begins and how many members it lists; the file must end with it and its records."""
    end = _record(file, END, size - END.size, b"PK\x05\x06")
    disk, _, here, count, length, start, comment = end
    last = size - END.size
    if UNSAID in (length, start) or count == 0xFFFF or _holds(file, last - LOCATOR_64.size, b"PK\x06\x07"):
        last -= LOCATOR_64.size + END_64.size
        _, said, _ = _record(file, LOCATOR_64, last + END_64.size, b"PK\x06\x07")
        long = _record(file, END_64, last, b"PK\x06\x06")
        if long[0] != END_64.size - 12 or said != last:
            raise refusals.damaged("its archive does not end where it says")
        disk, here, count, length, start = long[3], *long[5:]
    if disk or here != count or comment or start + length != last:
        raise refusals.damaged("its archive does not end where it says")
    if count > MOST_MEMBERS or length > MOST_DIRECTORY:
        raise refusals.damaged(f"its archive lists {count} members")
    return start, count


def _holds(file: BinaryIO, place: int, signature: bytes) -> bool:
    if place < 0:
        return False
    file.seek(place)
    return file.read(4) == signature


def _record(file: BinaryIO, layout: struct.Struct, place: int, signature: bytes) -> tuple[int, ...]:
    """The fields behind the signature of a record."""
    if not _holds(file, place, signature):
        raise refusals.damaged("its archive is cut short or goes on behind its end")
    data = signature + file.read(layout.size - 4)
    if len(data) < layout.size:
        raise refusals.damaged("its archive is cut short")
    return layout.unpack(data)[1:]


def _member(file: BinaryIO, entry: zipfile.ZipInfo) -> Member:
    """One entry of the directory, which the record before the member's own bytes must confirm."""
    name = entry.filename
    if not name.isprintable() or name.startswith("/") or "\\" in name or ".." in name.split("/") or ":" in name:
        raise refusals.damaged(f"its archive holds the name {_shown(name)}")
    if entry.flag_bits & ENCRYPTED:
        raise refusals.damaged(f"{name} in its archive is encrypted")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise refusals.damaged(f"{name} is packed, so that the archive unpacks to more bytes than it has")
    local = _record(file, LOCAL, entry.header_offset, b"PK\x03\x04")
    _, flags, method, _, _, crc, packed, unpacked, length, extra = local
    said = {entry.file_size, UNSAID, 0 if flags & DESCRIPTOR_FOLLOWS else UNSAID}
    same_name = file.read(length) == name.encode("utf-8" if flags & 0x800 else "cp437")
    if not same_name or method or flags != entry.flag_bits or not {packed, unpacked} <= said:
        raise refusals.damaged(f"{name} in its archive is described in two ways")
    if crc != entry.CRC and not flags & DESCRIPTOR_FOLLOWS:
        raise refusals.damaged(f"{name} in its archive is described in two ways")
    return Member(name, entry.header_offset + LOCAL.size + length + extra, entry.file_size, entry.CRC)


def _shown(name: str) -> str:
    return ascii(name[:80])
