"""The part of pickle in which PyTorch writes a state dict, understood by ourselves: it can name stored numbers only.

Pickle is a language for a machine with a stack (its words are explained in Python's pickletools). A pickle runs code
by naming a function and calling it. This machine knows the few names that a state dict needs and what they mean; no
name is looked up anywhere, so that there is nothing to call. Every other name ends the reading.

A few hundred bytes can describe a structure that holds itself more often than there is time to walk through. So nothing
here goes into what was read: no structure is compared, hashed or shown, and each word costs about the same.
"""

import pickletools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from verydeep.errors import WeightsError
from verydeep.weights import refusals

DICT = "collections.OrderedDict"
TENSOR = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
PARAMETER = ("torch._utils._rebuild_parameter", "torch.nn.parameter.Parameter")
STORAGES = ("torch", "torch.cuda", "torch.storage")  # where the types of stored numbers live: torch.FloatStorage

MOST_WORDS = 1_000_000  # of one pickle, each of a byte at least; a ResNet-152 needs 60,000
MOST_ENTRIES = 64  # of a tuple; a shape of NumPy has 64 lengths at most
MOST_NAME = 100  # letters of a type or of a storage's key
MOST_KEY = 1000  # letters of a key of a state dict
MOST_NUMBER = 2**31  # among the keys of a dict; an optimiser counts its tensors
MOST_NUMBERS = 2**48  # of a storage


@dataclass(frozen=True, slots=True)
class Name:
    """A function or a type that the pickle names."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A row of numbers that lies outside the pickle, by its key."""

    kind: str  # FloatStorage ...
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor: which numbers of a storage it has, in which order."""

    storage: Storage
    offset: int  # numbers, as in all that follows
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(slots=True)
class Parameter:
    """What PyTorch before 0.4 kept a trained tensor in; it is filled after it was made."""

    tensor: Any = None


def load(file: BinaryIO) -> tuple[object, dict[str, Storage]]:
    """What the pickle that begins here stands for, in dicts, lists, tuples, texts, numbers and tensors; its storages.

    Raises:
        WeightsError: it needs a name that a state dict does not, or is damaged.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_WORDS:
                raise refusals.damaged(f"its pickle has more than {MOST_WORDS} words")
            machine.do(opcode.name, argument)
        return machine.stack.pop(), machine.storages
    except WeightsError:
        raise
    except Exception as error:  # a stack that is empty, a key that no dict can have, a text that is none ...
        raise refusals.damaged(f"its pickle is damaged ({type(error).__name__})") from None


class _Machine:
    """The stack, the marks on it, and what was put aside to be used again."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def do(self, word: str, argument: Any) -> None:
        """One word of the language."""
        stack = self.stack
        match word:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[word])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING":  # the texts of Python 2
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(_tuple(self.since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack[-int(word[-1]) :] = [tuple(stack[-int(word[-1]) :])]
            case "APPEND" | "APPENDS":
                items = self.since_mark() if word == "APPENDS" else [stack.pop()]
                _is(list, stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self.since_mark() if word == "SETITEMS" else [stack.pop(-2), stack.pop()]
                _is(dict, stack[-1]).update(_dict(zip(items[::2], items[1::2], strict=True)))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(_known(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_known(_is(str, module), _is(str, name)))
            case "BINPERSID":
                storage = _storage(stack.pop())
                if self.storages.setdefault(storage.key, storage) != storage:
                    raise refusals.damaged(f"storage {storage.key} is described in two ways")
                stack.append(storage)
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_called(_is(Name, function).name, _is(tuple, arguments)))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], Parameter):
                    stack[-1].tensor = _is(tuple, state)[0]
                else:
                    _is(dict, stack[-1])  # an OrderedDict with notes of PyTorch's, which no answer depends on
            case _:
                raise refusals.code(f"contains code (the word {word} of pickle, {_shown(argument)})")

    def since_mark(self) -> list[Any]:
        """What was put on the stack since the last mark, taken from it."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items


def _is(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} for a {kind.__name__}")
    return value


def _tuple(values: list[Any]) -> tuple[Any, ...]:
    if len(values) > MOST_ENTRIES:
        raise refusals.damaged(f"its pickle has a tuple of {len(values)} entries")
    return tuple(values)


def _dict(pairs: Iterable[Sequence[Any]]) -> dict[Any, Any]:
    """These keys and values; the hash of a key must be cheap and unknown to the author of the file."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        is_text = isinstance(key, str) and len(key) <= MOST_KEY
        if not is_text and not (type(key) is int and 0 <= key < MOST_NUMBER):
            raise refusals.damaged(f"a dict in it has a key that cannot be one ({_shown(key)})")
        found[key] = value
    return found


def _known(module: str, last: str) -> Name:
    if len(module) <= MOST_NAME and len(last) <= MOST_NAME:
        name = f"{module}.{last}"
        is_storage = module in STORAGES and last.endswith("Storage") and last.isidentifier()
        if name == DICT or name in TENSOR + PARAMETER or is_storage:
            return Name(name)
    raise refusals.code(f"contains code ({_shown(f'{module[:MOST_NAME]}.{last[:MOST_NAME]}')})")


def _shown(value: object) -> str:
    """What a stranger wrote, short, and without what would steer a terminal; of a structure its type alone."""
    if isinstance(value, str):
        return value if len(value) < MOST_NAME and value.isprintable() else ascii(value[:MOST_NAME])
    return str(value) if type(value) is int and abs(value) < MOST_NUMBERS else type(value).__name__


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    """What the call of a known name means."""
    if name == DICT:
        return _filled(_is(list, arguments[0])) if arguments else {}
    if name in PARAMETER:
        return Parameter(arguments[0] if arguments else None)
    if name not in TENSOR:
        raise refusals.code(f"contains code (a call of {name})")
    storage, offset, shape, strides, *rest = arguments
    if len(rest) > 2 and rest[2]:
        raise refusals.damaged("a tensor is to be read as a view that is negated or conjugated")
    lengths = [offset, *_is(tuple, shape), *_is(tuple, strides)]
    if any(type(length) is not int for length in lengths) or len(shape) != len(strides):
        raise TypeError("a tensor without offset, shape or strides")
    return StoredTensor(_is(Storage, storage), offset, shape, strides)


def _filled(pairs: list[Any]) -> dict[Any, Any]:
    """The OrderedDict of a list of [key, value], as Python 2 wrote it; the list is used up, so that it fills one."""
    if any(type(pair) is not list or len(cast("list[Any]", pair)) != 2 for pair in pairs):
        raise TypeError("an OrderedDict of other than pairs")
    found = _dict(pairs)
    pairs.clear()
    return found


def _storage(identity: Any) -> Storage:
    """The storage that ("storage", type, key, device, count) names; older files add what it is a part of."""
    word, kind, key, _, count, *part = _is(tuple, identity)
    is_key = isinstance(key, str) and len(key) <= MOST_NAME and key.isprintable()
    is_count = type(count) is int and 0 <= count < MOST_NUMBERS
    if word != "storage" or any(entry is not None for entry in part) or not is_key or not is_count:
        raise refusals.damaged("a storage of numbers is named in a way that is not read here")
    return Storage(_is(Name, kind).name.rpartition(".")[2], key, count)
