"""WTS-13, and the mutated parts of WTS-05 to WTS-08: damaged files of every kind, and nothing but clear refusals.

A file that is damaged in a number only may still load: no format but ours has a checksum of it. What must not happen is
that the parent dies, hangs, grows, or does anything else than read.
"""

import os
import random

import pytest

from tests.untrusted.corpus.mutate import mutated
from tests.untrusted.corpus.valid import files

SEED = int(os.environ.get("VERYDEEP_SEED", "0"))
TRIALS = int(os.environ.get("VERYDEEP_TRIALS", "2000"))  # WTS-13: 2,000 / 100,000; scripts/nightly sets it
MEGABYTE = 1_000_000

# Of WTS-06 to 08: at least 500 of MAT and Caffe each among 2,000; 20,000 of these and of safetensors among 100,000.
WEIGHT = {"mat": 3, "caffemodel": 2, "safetensors": 4}
TOTAL = sum(WEIGHT.get(name.partition(" ")[0], 1) for name in files())


@pytest.mark.parametrize("name", list(files()))
def test_damaged_files_are_refused_or_read_and_nothing_else_happens(read, tmp_path, name):
    print(f"seed {SEED}")
    trials = TRIALS * WEIGHT.get(name.partition(" ")[0], 1) // TOTAL
    others = list(files().values())
    path = tmp_path / "damaged"  # pytest keeps it after a failure
    refusals = 0
    for trial in range(trials):
        path.write_bytes(mutated(files()[name], random.Random(f"{SEED} {name} {trial}"), others))
        reading = read(path)
        where = f"VERYDEEP_SEED={SEED}, {name}, trial {trial}: {reading}"
        assert reading.code != "NOT-OURS", where
        assert not reading.error or (reading.exit == 4 and "\n" not in reading.error), where
        assert not reading.events, where
        assert reading.seconds < 5, where
        assert reading.parent < 80 * MEGABYTE, where
        assert reading.child < 700 * MEGABYTE, where
        refusals += bool(reading.error)
    assert refusals > trials / 4, "the damage does not damage"


def test_sound_files_are_read(read, tmp_path):
    for name, data in files().items():
        path = tmp_path / "sound.bin"
        path.write_bytes(data)
        reading = read(path)
        assert not reading.error
        assert reading.kind == name.partition(" ")[0]
        assert len(reading.arrays) == 2
        assert not reading.events
