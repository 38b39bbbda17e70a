"""Twenty steps of SGD in Flax NNX follow PyTorch's losses."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from tests.twins import curve
from verydeep.backends import flax_nnx


def losses() -> list[float]:
    model = flax_nnx.build(curve.network(), curve.weights())
    optimizer = nnx.Optimizer(model, optax.sgd(curve.RATE), wrt=nnx.Param)

    @nnx.jit
    def step(model: Any, optimizer: nnx.Optimizer, images: jax.Array, labels: jax.Array) -> jax.Array:
        def loss_of(model: Any) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()

        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        return loss

    return [
        float(step(model, optimizer, jnp.asarray(images.transpose(0, 2, 3, 1)), jnp.asarray(labels)))
        for images, labels in curve.batches()
    ]


def test_flax_follows_the_losses_of_pytorch():
    found = losses()
    assert abs(found[-1] - found[0]) > 0.01 * found[0]  # it has moved at all
    difference = curve.largest_difference(found, curve.pytorch_losses())
    print(f"largest relative difference: {difference:.1e}")
    assert difference <= curve.TOLERANCE
