"""Run as a script: real Keras, Keras-Hub and JAX write and run the function of tests/weights/origins.py.

Usage: write_keras.py FOLDER. Reads numbers.npz (weights for torchvision's input), bgr.npz (for Oxford's), crops.npy
(uint8, n h w c, RGB) and whole.npy (one image, its shorter side 224). Writes the files of weights; logits.npz: what
each library answers to the crops after its own preprocessing; converted.npy: what Keras-Hub makes of the one image.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import jax
import jax.numpy as jnp
import keras
import keras_hub
import numpy as np
import timm
from keras.applications.vgg16 import preprocess_input
from keras_hub.src.utils.timm.preset_loader import TimmPresetLoader

FOLDER = Path(sys.argv[1])
REPEATS, CHANNELS, HIDDEN, CLASSES = (2, 2, 3, 3, 3), (4, 8, 16, 32, 32), 64, 10
HEAD = (("fc1", HIDDEN, "relu"), ("fc2", HIDDEN, "relu"), ("predictions", CLASSES, None))


def keras_model():
    """The layers of keras.applications.VGG16, thin, and with logits (classifier_activation=None)."""
    inputs = x = keras.layers.Input((224, 224, 3))
    for block, (repeats, channels) in enumerate(zip(REPEATS, CHANNELS, strict=True), start=1):
        for number in range(1, repeats + 1):
            name = f"block{block}_conv{number}"
            x = keras.layers.Conv2D(channels, (3, 3), activation="relu", padding="same", name=name)(x)
        x = keras.layers.MaxPooling2D((2, 2), strides=(2, 2), name=f"block{block}_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for name, units, activation in HEAD:
        x = keras.layers.Dense(units, activation=activation, name=name)(x)
    return keras.Model(inputs, x, name="vgg16")


def hub_model(pooling):
    """Keras-Hub's own classifier, thin."""
    backbone = keras_hub.models.VGGBackbone(list(REPEATS), list(CHANNELS), image_shape=(224, 224, 3))
    return keras_hub.models.VGGImageClassifier(backbone, CLASSES, pooling=pooling, pooling_hidden_dim=HIDDEN)


def fill(model, weights):
    """Put canonical arrays into a Keras model whose variables come in the same order: kernel, bias, kernel, bias."""
    variables = model.weights
    assert len(variables) == len(weights)
    for variable, array in zip(variables, weights.values(), strict=True):
        variable.assign(in_keras(array).reshape(variable.shape))
    return model


def in_keras(array):
    """HWIO, and a matrix as the kernel of the map that it reads: flattened, its rows have the channels last."""
    if array.ndim == 1:
        return array
    is_fc1 = array.ndim == 2 and array.shape[1] == CHANNELS[-1] * 49
    kernel = array.reshape(len(array), -1, *((7, 7) if is_fc1 else (1, 1))) if array.ndim == 2 else array
    return kernel.transpose(2, 3, 1, 0)


def hub_converter():
    """The image converter that Keras-Hub makes of timm's record for vgg16."""
    record = timm.get_pretrained_cfg("vgg16.tv_in1k").to_dict()
    loader = TimmPresetLoader(str(FOLDER), {"architecture": "vgg16", "pretrained_cfg": record})
    return loader.load_image_converter(keras_hub.layers.VGGImageConverter)


def rename(group, *, kernel, bias):
    """Write a whole model's weights with the names that an earlier Keras gave them, as weights alone."""
    with h5py.File(FOLDER / "keras_whole.h5") as source, h5py.File(group, "w") as target:
        for layer, content in source["model_weights"].items():
            if layer in content:
                target[kernel.format(layer)] = content[layer]["kernel"][()]
                target[bias.format(layer)] = content[layer]["bias"][()]


def flaxmodels_logits(crops):
    """What flaxmodels.VGG computes from its file: flax's convolution and dense layer are these two operations."""
    mean, deviation = jnp.array([0.485, 0.456, 0.406]), jnp.array([0.229, 0.224, 0.225])
    x = (jnp.asarray(crops) / 255.0 - mean) / deviation
    with h5py.File(FOLDER / "flaxmodels.h5") as file:
        for block, repeats in enumerate(REPEATS, start=1):
            for number in range(1, repeats + 1):
                layer = file[f"conv{block}_{number}"]
                axes = ("NHWC", "HWIO", "NHWC")
                x = jax.lax.conv_general_dilated(x, layer["weight"][()], (1, 1), "SAME", dimension_numbers=axes)
                x = jax.nn.relu(x + layer["bias"][()])
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = jnp.transpose(x, (0, 3, 1, 2)).reshape(len(x), -1)
        for name in ("fc6", "fc7", "fc8"):
            x = x @ file[name]["weight"][()] + file[name]["bias"][()]
            x = x if name == "fc8" else jax.nn.relu(x)
    return np.asarray(x)


numbers, bgr = dict(np.load(FOLDER / "numbers.npz")), dict(np.load(FOLDER / "bgr.npz"))
crops = np.load(FOLDER / "crops.npy")
logits = {}

model = fill(keras_model(), bgr)
model.save_weights(FOLDER / "keras3.weights.h5")
model.save(FOLDER / "keras3.keras")
model.save(FOLDER / "keras_whole.h5")
rename(FOLDER / "keras2.h5", kernel="{0}/{0}/kernel:0", bias="{0}/{0}/bias:0")
rename(FOLDER / "keras_released.h5", kernel="{0}/{0}_W_1:0", bias="{0}/{0}_b_1:0")
logits["keras"] = model.predict(preprocess_input(crops.astype(np.float32)), verbose=0)

convert = hub_converter()
np.save(FOLDER / "converted.npy", keras.ops.convert_to_numpy(convert(np.load(FOLDER / "whole.npy")[None])))
for pooling, name in (("avg", "keras_hub"), ("flatten", "keras_hub_flatten")):
    model = fill(hub_model(pooling), numbers)
    model.save_weights(FOLDER / f"{name}.weights.h5")
    model.save(FOLDER / f"{name}.keras")
    logits[name] = model.predict(keras.ops.convert_to_numpy(convert(crops)), verbose=0)
model.save_to_preset(FOLDER / "preset")

logits["flaxmodels"] = flaxmodels_logits(crops)
np.savez(FOLDER / "logits.npz", **logits)
