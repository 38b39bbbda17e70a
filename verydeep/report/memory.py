"""What a network's activations take in memory: kept for a backward pass, or alive at once at inference."""

import math

from verydeep.spec import Dropout, Flatten, Layer, Network, Parallel, Shape, walk

FLOAT32 = 4  # bytes of one number


def activation_bytes(shape: Shape) -> int:
    """Bytes of one activation, float32, one image."""
    return FLOAT32 * math.prod(shape)


def training_bytes(network: Network) -> int:
    """Bytes of the input and of every layer's output, float32, one image: what is kept for the backward pass.

    No layer works in place, ReLU included; `Flatten` writes nothing new and does not count. What a framework keeps
    besides (dropout masks, positions of maxima, workspace) is its own affair and is not counted, nor are weights.
    """
    outputs = [step.after.shape for step in walk(network) if not isinstance(step.layer, Flatten)]
    return sum(map(activation_bytes, (network.input, *outputs)))


def inference_bytes(network: Network) -> int:
    """The most bytes that must be alive at once, float32, one image, weights not counted.

    A map lives from the layer that writes it to the last layer that reads it. So a layer needs its input and its
    output; while the paths of a `Parallel` run, one after another, its input and the ends of the finished paths are
    held. No layer works in place; `Flatten` and `Dropout` (which does nothing at inference) write nothing new.
    """
    sizes, reads = _maps(network)
    last_reader = {source: writer for writer, sources in enumerate(reads) for source in sources}
    peak = alive = 0
    for number, (size, sources) in enumerate(zip(sizes, reads, strict=True)):
        alive += size
        peak = max(peak, alive)
        alive -= sum(sizes[source] for source in set(sources) if last_reader[source] == number)
    return peak


def _maps(network: Network) -> tuple[list[int], list[tuple[int, ...]]]:
    """Bytes of every map in the order of writing, the input first, and the numbers of the maps that its layer reads."""
    steps = iter(walk(network))
    sizes: list[int] = [activation_bytes(network.input)]
    reads: list[tuple[int, ...]] = [()]

    def run(layers: tuple[Layer, ...], source: int) -> int:
        for layer in layers:
            sources = tuple(run(path, source) for path in layer.paths) if isinstance(layer, Parallel) else (source,)
            shape = next(steps).after.shape
            if isinstance(layer, Flatten | Dropout):
                continue
            source = len(sizes)
            sizes.append(activation_bytes(shape))
            reads.append(sources)
        return source

    last = 0
    for block in network.blocks:
        last = run(block.layers, last)
    return sizes, reads
