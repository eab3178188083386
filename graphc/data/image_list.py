"""ImageListRecords: the images named by a list file ("path label" lines), for ImageData layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.data.decoding import Pool
from graphc.data.draws import permutation
from graphc.data.files import MAX_PATH, read_bytes, read_lines
from graphc.data.images import Image, decode_image, resize
from graphc.errors import fail
from graphc.ir.op import Env, Sig
from graphc.records import record

_INT32 = 1 << 31


@record(frozen=True, slots=True)
class ImageListOptions:
    """`size`: (height, width) to resize to, None keeps the image's own. `gray`: one channel."""

    source: str
    root_folder: str = ""
    size: tuple[int, int] | None = None
    gray: bool = False
    shuffle: bool = False


class ImageListRecords:
    """Images in the list's order, or in a new random order in each epoch.

    File names are `root_folder` + line, joined without a slash as in Caffe, tried from the current
    folder, then the prototxt's. Raises GC-F001, GC-D001, GC-D002 (bad line), GC-L001, GC-U002.
    """

    def __init__(self, options: ImageListOptions, s: Sig, seed: int) -> None:
        self.options, self.env, self.seed, self.layer = options, s.env, seed, s.name
        self.lines = read_list(options.source, s.env)
        self.count = len(self.lines)
        self._order = np.arange(self.count)
        self._epoch = -1
        self._pool = Pool()

    def read(self, record: int, epoch: int) -> tuple[Image, int]:
        """Image (C, H, W), three planes or one, and label."""
        return self._decoded(self._line(record, epoch))

    def read_many(
        self, record: int, epoch: int, count: int
    ) -> tuple[Sequence[Image], list[int]] | None:
        lines = [self._line(record + i, epoch) for i in range(count)]
        found = self._pool.map(self._decoded, lines)
        return None if found is None else ([x for x, _ in found], [y for _, y in found])

    def _decoded(self, line: tuple[str, int]) -> tuple[Image, int]:
        name, label = line
        options, limits = self.options, self.env.limits
        data = read_bytes(self.env.resolve(options.root_folder + name), limits)
        image = decode_image(data, "gray" if options.gray else "color", limits)
        if options.size is not None:
            height, width = options.size
            limits.check("image_pixels", height * width, f"an image resized to {height} x {width}")
            image = resize(image, height, width)
        return image, label

    def describe(self, record: int, epoch: int) -> str:
        return f"{self.options.source!r}, image {self._line(record, epoch)[0]!r}"

    def close(self) -> None:
        """No file stays open, but threads that decode do."""
        self._pool.close()

    def _line(self, record: int, epoch: int) -> tuple[str, int]:
        if self.options.shuffle and epoch != self._epoch:
            self._order = permutation(
                self.count, seed=self.seed, layer=self.layer, purpose="shuffle", epoch=epoch
            )
            self._epoch = epoch
        return self.lines[int(self._order[record])]


def read_list(source: str, env: Env) -> list[tuple[str, int]]:
    """(file name, label) of each line; the label follows the last space. Blank lines are skipped.

    Raises GC-F001, GC-L001, GC-D002 for a line without label, GC-D001 for an empty list.
    """
    entries: list[tuple[str, int]] = []
    for number, line in enumerate(read_lines(env.resolve(source), env.limits), 1):
        if not line.strip():
            continue
        name, _, label = line.rstrip().rpartition(" ")
        if not name or len(name) > MAX_PATH or not _is_int32(label):
            fail(
                "GC-D002",
                f"{source!r}, line {number}: {line[:80]!r} is not a file name, a space and a label",
            )
        entries.append((name.rstrip(), int(label)))
    if not entries:
        fail("GC-D001", f"list {source!r} names no images")
    return entries


def _is_int32(text: str) -> bool:
    digits = text[1:] if text[:1] in ("-", "+") else text
    return (
        digits.isascii()
        and digits.isdigit()
        and len(digits) <= 10
        and -_INT32 <= int(text) < _INT32
    )
