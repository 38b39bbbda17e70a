"""A run's network as a file for other programs: written aside, held to the model on real images, and only then kept."""

import errno
import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.data.preprocess import normalise
from verydeep.data.split import Split
from verydeep.deploy.bundle import Bundle, of_any_size, of_run, that_takes
from verydeep.deploy.formats import Format, Size, format_of, quantiser, writer
from verydeep.deploy.images import Pixels, spread
from verydeep.deploy.quantise import CALIBRATION, EVALUATION, LEAST_AGREEMENT, Comparison, compare, refuse_disagreement
from verydeep.deploy.verify import COUNT, Array, Checked, FromPixels, check, check_finite_like, from_pixels, model_of
from verydeep.durable import disk_errors, sync_folder, unfinished_folder
from verydeep.errors import ConfigError
from verydeep.evaluation.evaluate import labelled, unseen
from verydeep.run import Run, open_run

WITHOUT_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # how file systems say that they have no hard links


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and what it was found to be."""

    path: Path  # the file, or the first of its files
    files: tuple[str, ...]  # the names of all
    bytes: int  # in all of them
    format: str  # a key of FORMATS
    size: Size  # of the images: the network's own, or any
    preprocessing: dict[str, Any]  # what is left to be done to an image; mean 0 and std 1 where that is inside
    checked: Checked  # the floating-point file beside the PyTorch model
    comparison: Comparison | None = None  # int8 beside floating point

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, for `json.dumps`."""
        return asdict(self) | {"path": str(self.path)}


def export(
    run: Run | str | Path,
    data: str | Path | None = None,
    *,
    to: str = "onnx",
    out: str | Path | None = None,
    size: Size = "fixed",
    int8: bool = False,
    calibrate: int = CALIBRATION,
    least_agreement: float = LEAST_AGREEMENT,
    data_root: Path | None = None,
) -> Exported:
    """Write a run's network in a format that other programs read, with preprocessing and class names inside.

    The file is run beside the PyTorch model on real images, in batches of 1, 2 and 7. It appears under its name only
    if each logit is within 1e-4 of the largest, and the class is the same where the model prefers it by more than that.
    In int8 the logits must be as many, all finite, and the class the same often enough.

    Args:
        run: A run, its folder, or a model's file.
        data: A data set's name or a folder of images to check on; None is the one that the network was trained on.
        to: A name in `verydeep.deploy.formats.FORMATS`.
        out: A new file; None is ``model`` in the run's folder, with what size, int8 and format add to the name.
        size: "fixed" takes images of the network's own size; "free" is the fully convolutional form for any size.
        int8: Whether weights and activations become 8-bit integers, which are compared with floating point.
        calibrate: For int8: training images on which the ranges of activations are measured.
        least_agreement: For int8: the share of test images, at most 1,000 of them, whose class must stay the same.
        data_root: Folder of the data set's files.

    Raises:
        ConfigError: no finished run there, a model alone and no `data`, no such format, an option out of range or
            that the format does not have, a file that is there already or cannot be, a package that is not installed.
        DataError: the images are missing or unreadable.
        WeightsError: the run's model is damaged, or has no class names.
        SpecError: the network has no fully convolutional form.
        NumericalError: the network's logits are not finite.
        VerificationError: the file is not the model, or int8 names other classes too often; nothing is left of it.
        ResourceError: the disk is full or refuses.
    """
    format = format_of(to)
    _check_options(format, size=size, calibrate=calibrate, least_agreement=least_agreement)
    module, integers = writer(format), quantiser(format) if int8 else None
    opened = run if isinstance(run, Run) else open_run(run)
    target = _target(opened, format, out=out, size=size, int8=int8)
    plain = of_run(opened)
    bundle = plain if size == "fixed" else of_any_size(plain)
    given = that_takes(bundle, format.takes)
    if data is None:
        images, _ = unseen(opened, data_root=data_root)
    else:
        images = labelled(opened, data, data_root=data_root)
    shown, comparison = _shown(images, bundle, size=size), None
    reference = model_of(plain) if size == "fixed" else _of_any_size(plain, bundle)
    with disk_errors(target.parent, bytes_needed=_bytes(given)), unfinished_folder(target) as folder:
        path = folder / target.name
        module.write(given, path, size=size)
        computed = from_pixels(module.runner(path), given)
        checked = check(computed, reference=reference, images=shown)
        if integers is not None:
            known = labelled(opened, data, split="train", data_root=data_root)
            training = spread(known, calibrate, preprocessing=given.preprocessing).pixels
            path = integers.quantise(path, images=normalise(training, given.preprocessing).numpy())
            rounded = from_pixels(module.runner(path), given)
            check_finite_like(rounded, reference=reference, images=shown)
            standard, smaller = f"{format.engine} float32", f"{format.engine} int8"
            comparison = compare(
                {"pytorch float32": reference, standard: computed, smaller: rounded},
                standard=standard,
                images=spread(images, EVALUATION, preprocessing=given.preprocessing),
                calibration=len(training),
            )
            refuse_disagreement(comparison, least=least_agreement)
        files = _publish(path, target)
    return Exported(
        path=target,
        files=tuple(file.name for file in files),
        bytes=sum(file.stat().st_size for file in files),
        format=to,
        size=size,
        preprocessing=given.preprocessing.to_json(),
        checked=checked,
        comparison=comparison,
    )


def _check_options(format: Format, *, size: str, calibrate: int, least_agreement: float) -> None:
    if size not in format.sizes:
        raise ConfigError(
            f"{format.title} is written for images of size {' or '.join(format.sizes)}, not {size!r}",
            code="EXPORT-OPTION",
            hint="Choose another size or format.",
        )
    if calibrate < 1:
        raise ConfigError(f"calibrate must be 1 or more, got {calibrate}", code="OPTION-VALUE")
    if not 0 <= least_agreement <= 1:
        raise ConfigError(f"least_agreement must lie between 0 and 1, got {least_agreement}", code="OPTION-VALUE")


def _target(run: Run, format: Format, *, out: str | Path | None, size: Size, int8: bool) -> Path:
    """Where the file shall be: a free name in a folder that is there."""
    folder, stem = (run.path, "model") if run.path.is_dir() else (run.path.parent, run.path.stem)
    name = f"{stem}{'.free' if size == 'free' else ''}{'.int8' if int8 else ''}{format.label}{format.suffix}"
    target = folder / name if out is None else Path(out)
    if not target.name.endswith(format.suffix) or target.name == format.suffix:
        raise ConfigError(
            f"{target} is no name for {format.title}", code="OUT", hint=f"Give one that ends in {format.suffix}."
        )
    if not os.path.isdir(target.parent):  # noqa: PTH112 - Path.is_dir raises for a name too long
        raise ConfigError(f"{target.parent} is no folder", code="OUT", hint="Make it first, or choose another one.")
    for place in (target, *map(target.with_suffix, format.beside)):
        if os.path.lexists(place):
            raise _taken(place)
    return target


def _taken(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is there already, and nothing is written over",
        code="OUT-TAKEN",
        hint="Choose another name with --out.",
    )


def _of_any_size(plain: Bundle, bundle: Bundle) -> FromPixels:
    """The PyTorch model of any size; at the network's own it is the one that was trained, whose logits are a map."""
    trained, elsewhere = model_of(plain), model_of(bundle)

    def run(pixels: Pixels) -> Array:
        if pixels.shape[1:] != plain.network.input:
            return elsewhere(pixels)
        logits = trained(pixels)
        return logits if logits.ndim == 4 else logits[:, :, None, None]

    return run


def _shown(images: Split, bundle: Bundle, *, size: Size) -> list[Pixels]:
    """Images to check a file with, of the network's own size and, where any is taken, of a larger oblong one."""
    preprocessings = [bundle.preprocessing]
    if size == "free":
        (height, width), (down, right) = bundle.preprocessing.size, bundle.network.output.step
        preprocessings.append(replace(bundle.preprocessing, size=(height + down, width + 2 * right)))
    shown = (spread(images, COUNT, preprocessing=preprocessing).pixels for preprocessing in preprocessings)
    return [pixels[np.arange(COUNT) % len(pixels)] for pixels in shown]


def _publish(path: Path, target: Path) -> list[Path]:
    """Give the file at `path`, and those beside it that belong to it, their places, or none; `target` appears last."""
    parts = [part for part in path.parent.iterdir() if part.is_file()]
    places = {part: target.with_name(part.name) for part in sorted(parts, key=lambda part: part == path)}
    with ExitStack() as undo:
        for part, place in places.items():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            _place(part, place)
            undo.callback(place.unlink)
        sync_folder(target.parent)
        undo.pop_all()
    return list(places.values())[::-1]


def _place(part: Path, place: Path) -> None:
    """Give a file a name that is free at this very moment; ConfigError where it is taken."""
    try:
        os.link(part, place)
    except FileExistsError:
        raise _taken(place) from None
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        _place_without_links(part, place)


def _place_without_links(part: Path, place: Path) -> None:
    try:
        place.touch(exist_ok=False)
    except FileExistsError:
        raise _taken(place) from None
    try:
        part.replace(place)
    except BaseException:
        place.unlink()
        raise


def _bytes(bundle: Bundle) -> int:
    """About how large a file is: its weights."""
    return sum(array.nbytes for array in bundle.weights.values())
