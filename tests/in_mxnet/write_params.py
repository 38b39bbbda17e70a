"""Files that the real MXNet writes, and what its models answer: `python -m tests.in_mxnet.write_params FOLDER`."""

import sys
from pathlib import Path
from unittest.mock import patch

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import nn
from mxnet.gluon.model_zoo import vision

from verydeep.backends import mxnet_gluon
from verydeep.backends.check import narrow, sample_weights
from verydeep.families.catalog import CATALOG

DENSE = nn.Dense
ZOO = {"vgg11": 40, "vgg16_bn": 64, "alexnet": 224, "resnet18_v1": 96}  # and the size of their images
OWN = ("vgg11_bn", "resnet20_cifar")


def dense(units: int, **options: object) -> nn.Dense:
    """The zoo's 4096 features would make large files."""
    return DENSE(32 if units == 4096 else units, **options)


def zoo(folder: Path, name: str, size: int) -> None:
    """A model of the zoo with weights that no layer leaves alone, its file, and its answer to two images."""
    mx.random.seed(0)
    with patch.object(nn, "Dense", dense):
        model = vision.get_model(name, classes=7)
    model.initialize(mx.init.Xavier())
    for parameter in model.collect_params(".*bias|.*beta").values():
        parameter.initialize(mx.init.Uniform(0.2), force_reinit=True)
    for parameter in model.collect_params(".*gamma").values():
        parameter.initialize(mx.init.Constant(0.7), force_reinit=True)
    images = mx.nd.array(np.random.default_rng(0).standard_normal((2, 3, size, size)))
    with autograd.record():
        model(images).backward()  # the running statistics move
    model.save_parameters(str(folder / f"{name}.params"))
    np.savez(folder / f"{name}.npz", images=images.asnumpy(), logits=model(images).asnumpy())


def own(folder: Path, name: str) -> None:
    """A model of our backend: the file of its parameters, and the checkpoint of its export."""
    net = narrow(name, CATALOG[name])
    model = mxnet_gluon.build(net, sample_weights(net))
    model.hybridize()
    model(mx.nd.zeros((1, *net.input)))
    model.save_parameters(str(folder / f"{name}.params"))
    model.export(str(folder / name))


def lists(folder: Path) -> None:
    """Arrays of several types, versions and kinds of storage."""
    row = mx.nd.array([[1.0, 2.0, 3.0]])
    mx.nd.save(
        str(folder / "types"), {"half": row.astype("float16"), "single": row, "arg:double": row.astype("float64")}
    )
    mx.nd.save(str(folder / "whole"), {"numbers": row.astype("int32")})
    mx.nd.save(str(folder / "sparse"), {"rows": row.tostype("row_sparse")})
    mx.nd.save(str(folder / "nameless"), [row])
    mx.npx.set_np()
    mx.npx.save(str(folder / "numpy"), {"scalar": mx.np.array(3.0), "row": mx.np.array([1.0, 2.0])})


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for zoo_name, image_size in ZOO.items():
        zoo(target, zoo_name, image_size)
    for own_name in OWN:
        own(target, own_name)
    lists(target)
