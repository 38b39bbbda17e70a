"""The part of pickle in which PyTorch writes a state dict, understood by ourselves: it can name stored numbers only.

Pickle is a language for a machine with a stack (its words are explained in Python's pickletools). A pickle runs code
by naming a function and calling it. This machine knows the few names that a state dict needs and what they mean; no
name is looked up anywhere, so that there is nothing to call. Every other name ends the reading.
"""

import pickletools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from verydeep.errors import WeightsError
from verydeep.weights import refusals

DICT = "collections.OrderedDict"
TENSOR = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
PARAMETER = ("torch._utils._rebuild_parameter", "torch.nn.parameter.Parameter")
STORAGES = ("torch", "torch.cuda", "torch.storage")  # where the types of stored numbers live: torch.FloatStorage

MOST_WORDS = 1_000_000  # of one pickle; a ResNet-152 needs 60,000


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
            case "BINSTRING" | "SHORT_BINSTRING":  # of Python 2
                stack.append(str(argument))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(self.since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack[-int(word[-1]) :] = [tuple(stack[-int(word[-1]) :])]
            case "APPEND" | "APPENDS":
                items = self.since_mark() if word == "APPENDS" else [stack.pop()]
                _is(list, stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self.since_mark() if word == "SETITEMS" else [stack.pop(-2), stack.pop()]
                _is(dict, stack[-1]).update(zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(_known(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_known(f"{module}.{name}"))
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
                raise refusals.code(f"contains code (the word {word} of pickle, {_shown(str(argument))})")

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


def _known(name: str) -> Name:
    module, _, last = name.rpartition(".")
    if name == DICT or name in TENSOR + PARAMETER or (module in STORAGES and last.endswith("Storage")):
        return Name(name)
    raise refusals.code(f"contains code ({_shown(name)})")


def _shown(text: str) -> str:
    """What a stranger wrote, short, and without what would steer a terminal."""
    return text if text.isprintable() and len(text) < 100 else ascii(text[:100])


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    """What the call of a known name means."""
    if name == DICT:
        return dict(cast("Iterable[tuple[Any, Any]]", arguments[0])) if arguments else {}
    if name in PARAMETER:
        return Parameter(arguments[0] if arguments else None)
    if name not in TENSOR:
        raise refusals.code(f"contains code (a call of {name})")
    storage, offset, shape, strides, *rest = arguments
    if len(rest) > 2 and rest[2]:
        raise refusals.damaged(f"a tensor is to be read as {_shown(str(rest[2]))}")
    lengths = [offset, *_is(tuple, shape), *_is(tuple, strides)]
    if any(type(length) is not int for length in lengths) or len(shape) != len(strides):
        raise TypeError("a tensor without offset, shape or strides")
    return StoredTensor(_is(Storage, storage), offset, shape, strides)


def _storage(identity: Any) -> Storage:
    """The storage that ("storage", type, key, device, count) names; older files add what it is a part of."""
    word, kind, key, _, count, *part = _is(tuple, identity)
    if word != "storage" or any(part) or type(count) is not int or not 0 <= count < 2**48:
        raise refusals.damaged("a storage of numbers is named in a way that is not read here")
    return Storage(_is(Name, kind).name.rpartition(".")[2], _is(str, key), count)
