"""What a protocol needs in memory: how many images at once, in which parts, and the refusal where there is no room."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from verydeep.data.decode import shown, size_of
from verydeep.data.split import MemorySplit, Split
from verydeep.errors import ConfigError, ResourceError
from verydeep.evaluation.alike import shape_at
from verydeep.evaluation.protocol import MAPS, Protocol
from verydeep.evaluation.strips import Part, bytes_at, least_bytes, parts
from verydeep.record.machine import memory_bytes
from verydeep.report.memory import inference_bytes
from verydeep.rewrite.dense import dense, is_dense
from verydeep.run import Run
from verydeep.spec import Network, Pair

MEMORY = 2**30  # bytes of maps that may be alive at once, unless another number is given
MEBIBYTE = 2**20
COPIES = 2  # of an image in memory while it is decoded or rescaled, besides Pillow's own of 4 bytes a pixel


@dataclass(frozen=True, slots=True)
class Room:
    """A network, and the bytes that its maps may take."""

    network: Network  # the dense form where the protocol needs it
    protocol: Protocol
    memory: int
    cropped: bool = True  # whether the network's input is a crop where the protocol has no maps

    @property
    def reads_whole(self) -> bool:
        """Whether the network reads images of any size."""
        return self.protocol.kind in MAPS or not self.cropped

    def parts(self, image: Pair) -> tuple[Part, ...]:
        """Of an image of this size, for its score map; () where the protocol needs none."""
        return _parts(self.network, image, memory=self.memory) if self.protocol.kind in MAPS else ()

    def at_once(self, image: Pair, *, batch: int) -> int:
        """How many whole images of this size may be computed together, at most `batch`."""
        if not self.reads_whole:
            return self.crops_at_once(batch)
        return _many(bytes_at(self.network, image), memory=self.memory, batch=batch)

    def crops_at_once(self, batch: int) -> int:
        """How many images of the network's own size may be computed together, at most `batch`."""
        return _many(inference_bytes(self.network), memory=self.memory, batch=batch)


def room_for(run: Run, images: Split, *, protocol: Protocol, memory: int = MEMORY) -> Room:
    """The room for a run's network and a protocol, once it is sure that every image has enough.

    Args:
        run: Gives the network and its preprocessing.
        images: Their sizes are read from the files' headers.
        protocol: The scales, and whether there are crops or maps.
        memory: Bytes of maps; never more than the machine has.

    Raises:
        DataError: an image cannot be read.
        ResourceError: code EVAL-MEMORY; an image, or the maps of its smallest part, take more memory than there is.
        SpecError: the network has no dense form.
    """
    machine, preprocessing = memory_bytes(), run.preprocessing
    has_map = protocol.kind in MAPS
    network = dense(run.network) if has_map and not is_dense(run.network) else run.network
    room = Room(
        network,
        protocol,
        memory if machine is None else min(memory, machine),
        cropped=preprocessing.crop != "none",
    )
    limit = f"{_mib(memory)} are allowed" if room.memory == memory else f"this machine has {_mib(room.memory)}"
    if protocol.kind != "dense" and room.cropped and inference_bytes(network) > room.memory:
        raise _refused(f"the maps of one crop take {_mib(inference_bytes(network))}, and {limit}")
    seen: set[Pair] = set()
    for name, size in _sizes(images):
        if size in seen:
            continue
        seen.add(size)
        for scale in protocol.scales or (None,):
            image = shape_at(size, scale=scale, preprocessing=preprocessing)
            pixels = (4 + COPIES * preprocessing.channels) * (prod(size) + prod(image))
            if machine is not None and pixels > machine:
                raise _refused(
                    f"{name} of {_by(size)} pixels takes {_mib(pixels)} as {_by(image)}, "
                    f"and this machine has {_mib(machine)}"
                )
            if has_map and not room.parts(image):
                least = _mib(least_bytes(network, image))
                raise _refused(f"the maps of the smallest part of {name} at {_by(image)} take {least}, and {limit}")
            if not has_map and room.reads_whole and bytes_at(network, image) > room.memory:
                taken = _mib(bytes_at(network, image))
                raise _refused(f"the maps of {name} at {_by(image)} take {taken}, and {limit}")
    return room


def refuse_below_one(*, batch: int, memory: int) -> None:
    """Raise ConfigError, code OPTION-VALUE, where one of the two is below 1."""
    for option, value in (("batch", batch), ("memory", memory)):
        if value < 1:
            raise ConfigError(f"{option} must be 1 or more, got {value}", code="OPTION-VALUE")


def _sizes(images: Split) -> Iterable[tuple[str, Pair]]:
    """Name, height and width of the images; one stands for all that are in memory."""
    if isinstance(images, MemorySplit):
        return [(f"an image of {images.name}", (images.images.shape[2], images.images.shape[3]))]
    return ((shown(path), size_of(path)) for path in images.paths)


@lru_cache(maxsize=4096)
def _parts(network: Network, image: Pair, *, memory: int) -> tuple[Part, ...]:
    return parts(network, image, memory=memory)


def _many(each: int, *, memory: int, batch: int) -> int:
    return max(1, min(batch, memory // each))


def _refused(message: str) -> ResourceError:
    return ResourceError(message, code="EVAL-MEMORY", hint="Give more with --memory, or smaller --scales.")


def _by(size: Pair) -> str:
    return f"{size[0]}x{size[1]}"


def _mib(count: int) -> str:
    size = count / MEBIBYTE
    return f"{size:,.0f} MiB" if size >= 1 else f"{size:.2g} MiB"
