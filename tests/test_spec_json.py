"""The text form of a network is exact, and whatever else is read from it is refused in one kind of error."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verydeep import spec_json
from verydeep.errors import SpecError
from verydeep.families.catalog import CATALOG, network
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Conv,
    Dropout,
    Flatten,
    Linear,
    Network,
    PadChannels,
    Pool,
    ReLU,
    Tanh,
    branch,
    residual,
)

EVERY_KIND = Network(
    "every_kind",
    (3, 16, 16),
    (
        Block(
            "body",
            (
                Conv("conv", 4, (3, 3), (1, 2), ((1, 1), (0, 2)), (2, 1), groups=1, bias=False),
                *(BatchNorm("norm", epsilon=1e-3, momentum=0.2), ReLU("relu"), LRN("lrn", size=3)),
                residual("sum", (Tanh("tanh"), Pool("keep", "max", (3, 3), padding=((1, 1), (1, 1)))), shortcut=()),
                branch("both", (PadChannels("pad", before=1, after=2),), (Pool("mean", "average", (1, 1)),)),
                Pool("whole", "average", None),
            ),
        ),
        Block("head", (Flatten("flatten"), Dropout("drop", 0.5), Linear("fc", 10))),
    ),
    source="none",
    notes=("a note",),
)


# The text is exact


@pytest.mark.parametrize("name", CATALOG)
def test_a_network_comes_back_equal(name: str):
    original = network(name)
    assert spec_json.loads(spec_json.dumps(original)) == original


def test_every_kind_of_layer_has_a_text_form():
    def kinds(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["kind"]] if "kind" in value else []
            for item in value.values():
                yield from kinds(item)
        elif isinstance(value, list):
            for item in value:
                yield from kinds(item)

    assert spec_json.loads(spec_json.dumps(EVERY_KIND)) == EVERY_KIND
    assert set(kinds(spec_json.to_json(EVERY_KIND))) == set(spec_json.KINDS)


def test_notes_travel_with_the_network():
    small = network("D", input=(1, 28, 28))
    assert small.notes
    assert spec_json.loads(spec_json.dumps(small)).notes == small.notes


def test_indentation_changes_the_text_and_not_the_network():
    text = spec_json.dumps(EVERY_KIND, indent=2)
    assert text.count("\n") > 50
    assert spec_json.loads(text) == EVERY_KIND


def test_the_text_names_its_schema():
    assert json.loads(spec_json.dumps(EVERY_KIND))["schema"] == spec_json.SCHEMA == 1


@settings(deadline=None)
@given(epsilon=st.floats(min_value=5e-324, max_value=1.7e308), rate=st.floats(0, 1, exclude_max=True))
def test_numbers_come_back_to_the_last_bit(epsilon: float, rate: float):
    layers = (BatchNorm("norm", epsilon=epsilon), Dropout("drop", rate))
    original = Network("net", (3, 8, 8), (Block("block1", layers),))
    assert spec_json.loads(spec_json.dumps(original)) == original


# What is refused


def record() -> dict[str, Any]:
    return spec_json.to_json(EVERY_KIND)


def refusal(value: Any) -> str:
    with pytest.raises(SpecError) as caught:
        spec_json.from_json(value)
    return str(caught.value)


def test_an_unknown_key_is_refused_with_the_nearest_name():
    wrong = record()
    wrong["blocks"][0]["layers"][0]["strides"] = [1, 1]
    assert refusal(wrong) == "Conv has no 'strides'. Did you mean 'stride'?"
    assert refusal({**record(), "block": []}) == "a network has no 'block'. Did you mean 'blocks'?"


def test_a_missing_key_is_named():
    wrong = record()
    del wrong["blocks"][1]["layers"][2]["features"]
    assert refusal(wrong) == "Linear lacks its 'features'"


def test_an_unknown_kind_of_layer_is_refused_with_the_nearest_one():
    wrong = record()
    wrong["blocks"][0]["layers"][0]["kind"] = "Conv2d"
    assert refusal(wrong) == "'Conv2d' is no kind of layer. Did you mean Conv?"


@pytest.mark.parametrize("kind", [None, 7, [], {}, ["Conv"], True])
def test_a_kind_that_is_no_text_is_no_kind(kind: Any):
    wrong = record()
    wrong["blocks"][0]["layers"][0]["kind"] = kind
    assert refusal(wrong).startswith(f"{kind!r} is no kind of layer")


def test_a_newer_schema_asks_for_a_newer_version():
    words = "this network is written in schema 2, newer than 1. Install a newer verydeep."
    assert refusal({**record(), "schema": 2}) == words


@pytest.mark.parametrize("schema", [0, -1, "1", 1.0, None, True])
def test_a_schema_is_a_whole_number_of_at_least_one(schema: Any):
    assert refusal({**record(), "schema": schema}) == f"schema must be a whole number of at least 1, not {schema!r}"


def test_a_network_that_cannot_exist_is_refused_where_it_breaks():
    wrong = record()
    wrong["input"] = [3, 2, 2]
    assert refusal(wrong) == "body/conv: a window of 3 does not fit 2x2 with padding 1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"vgg16"',
        "\x00",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,  # more digits than Python converts
        json.dumps({"schema": 1}),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_text_that_is_no_network_is_refused(text: str):
    with pytest.raises(SpecError):
        spec_json.loads(text)


def test_paths_within_paths_without_end_are_refused():
    layer = '{"kind": "Parallel", "name": "p", "join": "add", "paths": [[], ['
    text = json.dumps({**record(), "blocks": "HERE"}).replace(
        '"HERE"', f'[{{"name": "b", "layers": [{layer * 5000}{"]]}" * 5000}]}}]'
    )
    with pytest.raises(SpecError):
        spec_json.loads(text)


def test_values_nested_deeper_than_python_recurses_are_refused():
    kernel: list[Any] = []
    for _ in range(100_000):
        kernel = [kernel]
    wrong = record()
    wrong["blocks"][0]["layers"][0]["kernel"] = kernel
    try:
        assert "nested too deeply" in refusal(wrong)
    finally:
        while kernel:  # layer by layer: Python cannot free such a list at once either
            kernel = kernel.pop()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value inside a JSON record, the record itself included."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from places(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of `value` with `new` at `path`."""
    if not path:
        return new
    result = copy.copy(value)
    result[path[0]] = replaced(value[path[0]], path[1:], new)
    return result


NUMBERS = st.one_of(st.integers(), st.integers(-2, 5), st.just(10**400), st.floats())
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5), st.sampled_from(sorted(spec_json.KINDS))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(list(places(record()))), value=JSON)
def test_any_value_in_any_place_gives_a_network_or_a_refusal(place: tuple[Any, ...], value: Any):
    try:
        read = spec_json.from_json(replaced(record(), place, value))
    except SpecError as error:
        assert len(error.line().splitlines()) == 1
    else:
        assert spec_json.loads(spec_json.dumps(read)) == read


@settings(max_examples=100, deadline=None)
@given(place=st.sampled_from([path for path in places(record()) if path]))
def test_any_value_taken_away_gives_a_network_or_a_refusal(place: tuple[Any, ...]):
    wrong = copy.deepcopy(record())
    parent = wrong
    for key in place[:-1]:
        parent = parent[key]
    del parent[place[-1]]
    try:
        read = spec_json.from_json(wrong)
    except SpecError:
        return
    assert spec_json.loads(spec_json.dumps(read)) == read


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_text_that_breaks_off_or_has_a_changed_character_gives_a_network_or_a_refusal(data: st.DataObject):
    text = spec_json.dumps(EVERY_KIND)
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(SpecError):
        spec_json.loads(text[:cut])
    try:
        spec_json.loads(text[:cut] + data.draw(st.characters()) + text[cut + 1 :])
    except SpecError:
        return
