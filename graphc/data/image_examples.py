"""ImageExamples: image files, from a folder with one subfolder per class or from a list file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphc.data.examples import Example
from graphc.data.files import read_bytes
from graphc.data.image_list import read_list
from graphc.data.images import Image, decode_image, open_image, resize
from graphc.errors import GraphError, fail
from graphc.ir.op import Env
from graphc.limits import Limits
from graphc.records import record

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".gif", ".webp")
_NO_PLANES = np.empty((0, 0, 0), np.uint8)


@record(frozen=True, slots=True)
class ImageOptions:
    """`size`: (height, width) to resize to; `gray`: one channel instead of three; `encoded`: keep
    files as they are, or, if something is done to them, as PNG."""

    size: tuple[int, int] | None = None
    gray: bool = False
    encoded: bool = False

    @property
    def as_they_are(self) -> bool:
        return self.encoded and self.size is None and not self.gray


class ImageExamples:
    """Image files below `root` by name, with their labels. Planes are blue, green, red, or grey."""

    def __init__(
        self,
        name: str,
        kind: str,
        root: Path,
        entries: Sequence[tuple[str, int]],
        classes: tuple[str, ...],
        options: ImageOptions,
        limits: Limits,
    ) -> None:
        self.name, self.kind, self.classes = name, kind, classes
        self.root, self.entries, self.options, self.limits = root, entries, options, limits

    @property
    def count(self) -> int:
        return len(self.entries)

    def at(self, index: int) -> Example:
        """Raises GC-F001, GC-D001, GC-L001, GC-U002, each with the file's name."""
        key, label = self.entries[index]
        path = self.root / key
        data = read_bytes(path, self.limits)
        try:
            if self.options.as_they_are:
                open_image(data, self.limits)
                return Example(key, _NO_PLANES, label, data)
            planes = self._decoded(data)
        except GraphError as error:
            where = f"{self.name!r}, image {str(path)!r}"
            raise GraphError(error.code, f"{where}: {error.message}", error.hint) from None
        encoded = _png(planes) if self.options.encoded else b""
        return Example(key, planes, label, encoded)

    def close(self) -> None:
        """Nothing stays open."""

    def _decoded(self, data: bytes) -> Image:
        planes = decode_image(data, "gray" if self.options.gray else "color", self.limits)
        if self.options.size is None:
            return planes
        height, width = self.options.size
        told = f"an image resized to {height} x {width}"
        self.limits.check("image_pixels", height * width, told)
        return resize(planes, height, width)


def from_folder(folder: Path, options: ImageOptions, limits: Limits) -> ImageExamples:
    """The images of each subfolder; subfolders in order of name are classes 0, 1, ...

    Raises GC-D001 if there are no subfolders or no images in them, GC-F001.
    """
    try:
        classes = tuple(sorted(p.name for p in folder.iterdir() if _is_class(p)))
        entries = [
            (f"{name}/{file}", label)
            for label, name in enumerate(classes)
            for file in sorted(_images_below(folder / name))
        ]
    except OSError as error:
        fail("GC-F001", f"{str(folder)!r} cannot be read: {error.strerror}")
    if not entries:
        fail(
            "GC-D001",
            f"folder {str(folder)!r} holds no images in subfolders",
            "one subfolder per class is expected, or a list file with lines `path label`",
        )
    return ImageExamples(str(folder), "folder", folder, entries, classes, options, limits)


def from_list(
    file: Path, root: Path | None, options: ImageOptions, limits: Limits
) -> ImageExamples:
    """The images of a list file, names counting from `root`, else from the list's own folder.

    Raises GC-F001, GC-D001, GC-D002, GC-L001.
    """
    entries = read_list(str(file), Env(None, limits))
    base = file.parent if root is None else root
    return ImageExamples(str(file), "list", base, entries, (), options, limits)


def _is_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _images_below(folder: Path) -> list[str]:
    """Names relative to `folder`, with slashes."""
    found: list[str] = []
    for place, _, files in os.walk(folder):
        inner = Path(place).relative_to(folder)
        found += [(inner / f).as_posix() for f in files if f.lower().endswith(SUFFIXES)]
    return found


def _png(planes: Image) -> bytes:
    import io

    from graphc.data.images import pillow

    out = io.BytesIO()
    pixels = planes[0] if len(planes) == 1 else planes[::-1].transpose(1, 2, 0)
    pillow().fromarray(np.ascontiguousarray(pixels)).save(out, "PNG")
    return out.getvalue()


__all__ = ["ImageExamples", "ImageOptions", "from_folder", "from_list"]
