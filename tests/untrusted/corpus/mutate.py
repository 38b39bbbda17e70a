"""Damaging bytes at random, from a seed: what rot, bad transfers and attackers do to files."""

import random
import struct

ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """The bytes with one to four damages; the first kilobyte, where headers are, is hit more often."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        end = min(len(found), 1024) if chance.random() < 0.5 else len(found)
        place = chance.randrange(max(1, end))
        match chance.randrange(8):
            case 0 | 1:
                for _ in range(chance.choice((1, 1, 2, 8))):
                    found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
            case 2 | 3:
                found[place : place + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))])
            case 4:
                width = chance.choice((2, 4, 8))
                value = (chance.choice(ODD) + chance.choice((0, 0, 1, -1))) % 256**width
                found[place : place + width] = value.to_bytes(width, chance.choice(("little", "little", "big")))
            case 5:
                del found[place : place + chance.choice((1, 2, 8, 64, len(found)))]
            case 6:
                length = chance.choice((1, 4, 16, 256))
                found[place:place] = found[place : place + length]
            case 7:
                other = chance.choice(others)
                start, length = chance.randrange(len(other)), chance.choice((8, 64, 512))
                found[place : place + length] = other[start : start + length]
        found = found or bytearray(struct.pack("<Q", 0))
    return bytes(found)
