"""What a training or a pass costs, in multiply-accumulate operations, and how much disk; estimated, nothing is read."""

from verydeep.data.catalog import DATASETS
from verydeep.evaluation.windows import GRID
from verydeep.report.table import summary
from verydeep.reproduce import training_task
from verydeep.reproduce.experiments import AnyTraining, Pass, Wanted
from verydeep.reproduce.request import Request
from verydeep.reproduce.task import Task
from verydeep.rewrite.cut import resize
from verydeep.rewrite.dense import dense
from verydeep.spec import Network
from verydeep.training.prepare import describe

BACKWARD = 3  # a step costs as much as three forward passes: one forward, and two products for each backward
BOTH_WAYS = 2  # an image and its mirror image
IMAGENET = (3, 1000)  # channels and classes of a data set of which the catalogue says neither
EMBEDDED = {"digits": 1_437}  # training images of a data set that is not the scale's
ARRAYS = 6  # of the size of the weights that a run folder holds: two checkpoints with momentum, the model, the best
PER_POSTERIOR = 8  # bytes


def macs(task: Task, request: Request) -> int:
    """MACs of the whole task; of photographs as if they were square."""
    return _of_pass(task, request) if isinstance(task, Wanted) else _of_training(task, request)


def bytes_to_write(task: Task, request: Request) -> int:
    """What the task leaves on disk."""
    if isinstance(task, Wanted):
        return PER_POSTERIOR * _images(task, request) * _network(task.one.training, request).classes
    return 4 * ARRAYS * summary(_network(task, request)).params


def _of_training(training: AnyTraining, request: Request) -> int:
    config = training_task.settings(training, request)
    known = EMBEDDED.get(config.data, request.scale.train_images)
    images = round(known * (1 - config.val))
    return BACKWARD * summary(_network(training, request)).macs * images * config.epochs


def _of_pass(wanted: Wanted, request: Request) -> int:
    return _of_image(wanted.one, request) * _images(wanted, request)


def _of_image(one: Pass, request: Request) -> int:
    network = _network(one.training, request)
    ways = BOTH_WAYS if training_task.settings(one.training, request).flip else 1
    match one.kind:
        case "center":
            return summary(network).macs
        case "dense":
            channels = network.input[0]
            return ways * summary(resize(dense(network), (channels, one.side, one.side))).macs
        case "multi-crop":
            return ways * GRID**2 * summary(network).macs


def _images(wanted: Wanted, request: Request) -> int:
    available = request.scale.known_test_images
    return available if wanted.images is None else min(wanted.images, available)


def _network(training: AnyTraining, request: Request) -> Network:
    config = training_task.settings(training, request)
    known = DATASETS.get(config.data)
    channels = known.shape[0] if known is not None and known.shape is not None else IMAGENET[0]
    classes = known.classes if known is not None and known.classes is not None else IMAGENET[1]
    side = config.size or request.scale.pixels(224)
    return describe(config, channels=channels, size=(side, side), classes=classes)
