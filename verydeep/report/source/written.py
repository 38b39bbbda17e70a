"""What generated source is made of in any framework: calls, named arguments, the docstring, the function's name."""

import keyword
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence

from verydeep.report.grid import one_line
from verydeep.report.table import summary
from verydeep.report.words import length, sizes
from verydeep.spec import Network, Padding, Pair

LINE_LENGTH = 100  # of wrapped text
INDENT = "    "


def docstring(network: Network, *, framework: str, needs: str) -> str:
    """The docstring of the module: what the network is, its source, its shapes and costs, what to know about it."""
    totals = summary(network)
    sentences = (
        f"{network.name} in {framework}, written by verydeep; it needs nothing but {needs}.",
        *([f"Source: {network.source}."] if network.source else []),
        f"Input: images of {sizes(network.input)}. Output: {sizes(network.output.shape)}, no softmax. "
        f"{totals.params:,} parameters, {totals.macs:,} MACs for one image.",
        *network.notes,
    )
    quoted = (one_line(sentence).replace("\\", "\\\\").replace('"', '\\"') for sentence in sentences)
    text = "\n\n".join(
        textwrap.fill(sentence, LINE_LENGTH, break_on_hyphens=False, break_long_words=False) for sentence in quoted
    )
    return f'"""{text}\n"""'


def function_name(name: str, *, taken: Collection[str]) -> str:
    """A Python name for the function that makes the network called `name`; none that is `taken` in the module."""
    plain = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_").lower() or "network"
    if plain[0].isdigit():
        return f"network_{plain}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain in taken else plain


def used(helpers: Mapping[str, str], body: str) -> Iterator[str]:
    """The text of each of `helpers` that `body` calls, or that such a helper calls, in their own order."""
    found: set[str] = set()
    texts = [body]
    while texts:
        text = texts.pop()
        new = {name for name in helpers if name not in found and f"{name}(" in text}
        found |= new
        texts.extend(helpers[name] for name in new)
    yield from (text.strip("\n") + "\n" for name, text in helpers.items() if name in found)


def argument(name: str, lines: list[str], *, indent: str, empty: Sequence[str] = ()) -> list[str]:
    """An expression as the keyword argument `name`, which may be a word that Python reserves.

    A comment says so where the lines are `empty`, a stack of no layers: the identity.
    """
    plain = name.isascii() and not keyword.iskeyword(name)
    before, after = (f"{name}=", ",") if plain else (f"**{{{name!r}: ", "},")
    first, *rest = lines
    written = [before + first, *rest]
    written[-1] += f"{after}  # the identity" if lines == empty else after
    return [indent + line for line in written]


def call(function: str, *positional: int | str, **named: str | None) -> str:
    """A call in which an argument of None is left out: the framework's default is meant."""
    arguments = [*map(str, positional), *(f"{name}={value}" for name, value in named.items() if value is not None)]
    return f"{function}({', '.join(arguments)})"


def even(padding: Padding) -> Pair | None:
    """(vertical, horizontal) where both sides of each are padded alike, otherwise None."""
    (top, bottom), (left, right) = padding
    return (top, left) if top == bottom and left == right else None


def pair(value: Pair, *, default: int | None = None) -> str | None:
    """Two lengths, as one number where they are equal; None where both are the `default`."""
    return None if value == (default, default) else str(length(value))
