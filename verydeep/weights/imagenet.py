"""What weights trained on ImageNet expect: two ways to normalise a photograph, and the names of the classes."""

from verydeep.preprocessing import Preprocessing
from verydeep.spec import Network

INPUT = (3, 224, 224)
CLASSES = 1000

MEAN_AND_DEVIATION = Preprocessing(  # torchvision.transforms._presets.ImageClassification; timm.data.constants
    channels=3,
    size=(224, 224),
    resize=256,
    crop="center",
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    color="RGB",
)

MEAN_PIXEL = (
    Preprocessing(  # the Oxford group's notes on VGG_ILSVRC_16_layers: the mean of its training images, B, G, R
        channels=3,
        size=(224, 224),
        resize=256,  # Q = S = 256: the notes say only "224x224"; section 3.2 of arXiv:1409.1556
        crop="center",
        mean=(103.939, 116.779, 123.68),
        std=(1.0, 1.0, 1.0),
        color="BGR",
    )
)


def where_it_applies(record: Preprocessing, network: Network) -> Preprocessing | None:
    """`record` for networks that read colour images of 224, for which it was made; None: nobody knows."""
    return record if network.input == INPUT else None


def class_names() -> tuple[str, ...]:
    """The 1000 classes in the order in which every origin has them, by WordNet identifier; () without torchvision."""
    try:
        from torchvision.models import VGG16_Weights  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        return ()
    return tuple(VGG16_Weights.IMAGENET1K_V1.meta["categories"])
