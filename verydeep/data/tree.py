"""Class folders and image files below a folder, in an order that is the same everywhere: by code point."""

import os
from collections.abc import Iterator
from pathlib import Path

from verydeep.data.decode import shown
from verydeep.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # in any case
LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini")  # left behind by archivers and file managers


def class_folders(folder: Path) -> list[Path]:
    """The visible folders in `folder`, sorted by the code points of their names.

    Hidden ones are no classes (`.ipynb_checkpoints`), nor are links to a folder above (a loop).
    """
    home = folder.resolve()
    found = [entry for entry in _entries(folder) if _is_folder(entry)]
    classes = [Path(entry.path) for entry in found if not home.is_relative_to(Path(entry.path).resolve())]
    for path in classes:
        if not _is_unicode(path.name):
            raise DataError(f"the class folder {shown(path)} has a name that is not Unicode", code="DATA-CLASS-NAME")
    return sorted(classes, key=lambda path: path.name)


def image_files(folder: Path) -> list[str]:
    """The image files in `folder` and below, absolute, sorted by the code points of their paths.

    What counts is the ending of the name and that it is a regular file (or a broken link, which `check` will name);
    FIFOs and devices are passed over without being opened, and links to folders are not followed.
    """
    return sorted(_files(folder.absolute()))


def _files(folder: Path) -> Iterator[str]:
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.name.lower().endswith(SUFFIXES) and _is_file(entry):
            yield entry.path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in the folder, without what is hidden or litter."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in LITTER]
    except OSError as error:
        raise DataError(f"cannot list {shown(folder)}: {error.strerror}", code="DATA-UNREADABLE") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """A regular file, or a link that leads nowhere."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:  # a link to itself
        return True


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
