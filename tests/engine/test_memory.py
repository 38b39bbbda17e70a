"""Maps share memory only if they are never needed at once."""

from hypothesis import given
from hypothesis import strategies as st

from verydeep.engine.memory import ALIGNMENT, Life, lay_out

LIVES = st.lists(
    st.builds(
        lambda size, first, length: Life(size, first, first + length),
        st.integers(1, 200),
        st.integers(0, 12),
        st.integers(0, 6),
    ),
    max_size=20,
)


@given(LIVES)
def test_maps_that_are_needed_at_once_never_overlap(lives):
    layout = lay_out(lives)
    for number, life in enumerate(lives):
        begin = layout.offsets[number]
        assert begin % ALIGNMENT == 0
        assert 0 <= begin <= begin + life.size <= layout.size
        for other in range(number):
            if life.meets(lives[other]):
                there = layout.offsets[other]
                assert begin >= there + lives[other].size or there >= begin + life.size


@given(LIVES)
def test_the_memory_is_no_larger_than_a_place_for_each(lives):
    assert lay_out(lives).size <= sum(life.size + ALIGNMENT - 1 for life in lives)


def test_two_maps_of_different_times_share_a_place():
    assert lay_out([Life(100, 0, 1), Life(90, 2, 3)]).offsets == (0, 0)


def test_a_small_map_fits_into_a_gap_between_larger_ones():
    large, gap, larger, small = Life(64, 0, 2), Life(32, 0, 0), Life(48, 0, 2), Life(30, 1, 2)
    layout = lay_out([large, gap, larger, small])
    assert layout.size == 64 + 48 + 32
    assert layout.offsets[3] == layout.offsets[1]


def test_a_chain_of_maps_takes_the_two_largest_neighbours():
    sizes = (32, 640, 640, 160, 320, 320, 80)
    assert lay_out([Life(size, step, step + 1) for step, size in enumerate(sizes)]).size == 1280
