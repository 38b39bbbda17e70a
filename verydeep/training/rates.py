"""Arrays that do not learn as the others do: those that stay as they are, and those with a rate of their own."""

from verydeep.settings.config import Config
from verydeep.spec import BatchNorm, Network, walk
from verydeep.training.whiten import whitening


def still(network: Network, config: Config) -> frozenset[str]:
    """Canonical names of weights that training leaves alone."""
    names: set[str] = set()
    if config.norm_scale == "one":
        names |= {f"{name}.weight" for name in _norms(network)}
    if config.whiten:
        names.add(f"{whitening(network).name}.weight")
    return frozenset(names)


def factors(network: Network, config: Config) -> dict[str, float]:
    """Factor on the learning rate by canonical name, where it is not 1.

    A logit scale s is no layer: a last layer whose weights are s times as large from the start, and whose rate is s
    squared times as high, gives in every step what the larger layer and a multiplication by s would give.
    """
    found = dict.fromkeys((f"{name}.bias" for name in _norms(network)), config.norm_bias_rate)
    found |= dict.fromkeys(last_layer(network), config.logit_scale**2)
    return {name: factor for name, factor in found.items() if factor != 1.0}


def last_layer(network: Network) -> tuple[str, ...]:
    """Canonical names of the arrays that the logits come from."""
    step = [step for step in walk(network) if step.layer.weights(step.before)][-1]
    return tuple(f"{step.layer.name}.{weight.name}" for weight in step.layer.weights(step.before))


def _norms(network: Network) -> tuple[str, ...]:
    return tuple(step.layer.name for step in walk(network) if isinstance(step.layer, BatchNorm))
