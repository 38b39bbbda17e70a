"""Reading an HDF5 file that Keras, flaxmodels or a stranger wrote: plain numeric data sets, nothing that points away.

HDF5 can have the values of a data set stored in another file, link to other files, compute one data set from others
and load filters from libraries. Each of these is refused by what the file's structure says, before a value is read.
Keras is never imported.
"""

import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import h5py  # type: ignore[import-untyped]
import numpy as np

from verydeep.weights import frames, keras_config, refusals

h5: Any = h5py  # compiled, and without types

MOST_DEPTH = 32
MOST_OBJECTS = 100_000
MOST_PIECES = 100_000  # in which one data set may be stored
MOST_ATTRIBUTE = 8 * frames.MEGABYTE
FILTERS = {h5.h5z.FILTER_DEFLATE, h5.h5z.FILTER_SHUFFLE, h5.h5z.FILTER_FLETCHER32}  # part of HDF5 itself


def parse(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
    """The data sets by path, to be read with ``[()]``, and what Keras noted in attributes.

    Raises:
        WeightsError: the file holds anything but groups and plain numeric data sets, or claims more than it has.
    """
    root = h5.File(file, "r")
    arrays: dict[str, Any] = {}
    about: dict[str, Any] = {}
    for path, item in _items(root):
        if isinstance(item, h5.Dataset):
            _refuse_unplain(path, item)
            arrays[path] = item
        _note_attributes(item, about)
    return arrays, about


def _items(root: Any) -> Iterator[tuple[str, Any]]:
    """All groups and data sets below `root` and itself, each reached by exactly one hard link."""
    seen = {h5.h5o.get_info(root.id).addr}
    waiting = [("", root, 0)]
    while waiting:
        path, item, depth = waiting.pop()
        yield path, item
        if not isinstance(item, h5.Group):
            continue
        if depth == MOST_DEPTH:
            raise refusals.damaged(f"{path} lies deeper than {MOST_DEPTH} groups")
        for name in item:
            inside = f"{path}/{name}" if path else str(name)
            child = _opened(item, name, inside)
            address = h5.h5o.get_info(child.id).addr
            if address in seen:
                raise refusals.damaged(f"{inside} is reached by two ways")
            seen.add(address)
            if len(seen) > MOST_OBJECTS:
                raise refusals.damaged(f"it has more than {MOST_OBJECTS} objects")
            waiting.append((inside, child, depth + 1))


def _opened(group: Any, name: str, path: str) -> Any:
    """A group or data set that lies in this very file."""
    if not name.isprintable() or "/" in name or name in ("", ".", ".."):
        raise refusals.damaged("an object has a name that cannot be")
    if group.id.links.get_info(name.encode()).type != h5.h5l.TYPE_HARD:
        raise refusals.damaged(f"{path} is a link to another place")
    item = group[name]
    if not isinstance(item, (h5.Group, h5.Dataset)):
        raise refusals.damaged(f"{path} is neither a group nor a data set")
    return item


def _refuse_unplain(path: str, data: Any) -> None:
    """Refuse a data set whose values are not simply stored in this file, or are no numbers."""
    if data.dtype.kind not in "fiub":
        raise refusals.damaged(f"{path} holds {data.dtype.kind!r} values, not numbers")
    how = data.id.get_create_plist()
    if how.get_external_count() or how.get_layout() == h5.h5d.VIRTUAL:
        raise refusals.damaged(f"{path} has its values in another file")
    for position in range(how.get_nfilters()):
        if how.get_filter(position)[0] not in FILTERS:
            raise refusals.damaged(f"{path} is packed by a filter that HDF5 itself does not have")
    stored = data.id.get_storage_size()
    if _nbytes(data) > (stored if not how.get_nfilters() else frames.most_array_bytes(stored)):
        raise refusals.damaged(f"{path} claims {data.size} numbers in {stored} bytes")
    if data.chunks:
        pieces = math.prod(-(-length // piece) for length, piece in zip(data.shape, data.chunks, strict=True))
        if math.prod(data.chunks) * data.dtype.itemsize > frames.most_array_bytes(stored):
            raise refusals.damaged(f"{path} is cut into pieces larger than itself")
        if pieces > MOST_PIECES or data.id.get_num_chunks() != pieces:
            raise refusals.damaged(f"{path} is cut into {pieces} pieces, which are too many or not all stored")


def _nbytes(data: Any) -> int:
    return math.prod(data.shape) * data.dtype.itemsize


def _note_attributes(item: Any, about: dict[str, Any]) -> None:
    """Put into `about` what Keras writes: the backend that it computed with, and the description of the model."""
    for name in item.attrs:
        if name == "backend":
            about[name] = " ".join(_texts(item, name))
        elif name == "model_config":
            about["config"] = keras_config.parse("".join(_texts(item, name)))


def _texts(item: Any, name: str) -> list[str]:
    """An attribute that is a text or a list of texts."""
    attribute = item.attrs.get_id(name)
    if 0 in attribute.shape:  # an empty list, which has whatever type
        return []
    if h5.check_string_dtype(attribute.dtype) is None or attribute.get_storage_size() > MOST_ATTRIBUTE:
        raise refusals.damaged(f"its attribute {name} is no text or list of texts")
    values = np.atleast_1d(np.asarray(item.attrs[name], object)).ravel().tolist()
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
