"""``python -m tests.in_keras.contract PRECISION TOLERANCE [NETWORK ...]``: the contract of Keras, as JSON."""

import json
import sys

import keras

from verydeep.backends import keras3
from verydeep.backends.check import check_network, samples


def main(precision: str, tolerance: str, *names: str) -> None:
    """Check the networks of these names, without names all of them, and print the agreements."""
    keras.config.set_floatx(precision)
    networks = [network for network in samples() if not names or network.name in names]
    found = [each for network in networks for each in check_network(keras3, network, tolerance=float(tolerance))]
    print(json.dumps([{"network": each.network, "mode": each.mode, "error": each.error} for each in found]))


if __name__ == "__main__":
    main(*sys.argv[1:])
