"""convert_data: a data set in one form -> the same in another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from graphc.data.draws import permutation
from graphc.data.example_writers import WRITERS
from graphc.data.examples import Example, Examples
from graphc.data.image_examples import ImageOptions
from graphc.data.opening import Names, open_examples
from graphc.data.staging import staged
from graphc.errors import fail
from graphc.limits import Limits
from graphc.records import record

Progress = Callable[[int, int], None]
"""Told (examples done, of how many) now and then."""
Paths = str | Path | Sequence[str | Path]
SUFFIXES = {".h5": "hdf5", ".hdf5": "hdf5", ".npz": "npz"}
EVERY = 100


@record(frozen=True, slots=True)
class Converted:
    """What was made. `shape`: (C, H, W) of the first image, None for image files kept as they are;
    `labels`: label -> how many; `classes`: their names, where the source has some."""

    path: str
    form: str
    source: str
    kind: str
    count: int
    shape: tuple[int, ...] | None
    labels: dict[int, int]
    classes: tuple[str, ...]


def convert_data(
    source: Paths,
    output: str | Path,
    *,
    form: str | None = None,
    data: str = "data",
    label: str | None = None,
    labels: str | Path | None = None,
    root: str | Path | None = None,
    resize: tuple[int, int] | None = None,
    gray: bool = False,
    encoded: bool = False,
    shuffle: bool = False,
    seed: int = 1,
    swap_channels: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Converted:
    """Write the examples of `source` to `output`.

    `source`: see `graphc.data.opening`; `form`: "lmdb", "hdf5" or "npz", by default as the suffix
    of `output` says, else "lmdb". `data`, `label`: names of arrays; `labels`: the labels of idx
    images; `root`: where a list's names count from. `resize`: (height, width). `shuffle`: in an
    order that `seed` decides. `swap_channels`: blue, green, red for red, green, blue. `replace`:
    what is there already. An interrupted conversion leaves what was there before. Raises GC-F001,
    GC-F002, GC-D00x, GC-L001, GC-U001, GC-U002.
    """
    target = Path(output)
    told = _form(target, form)
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    names = Names(data, label, _path(labels), _path(root))
    options = ImageOptions(resize, gray, encoded)
    if encoded and told != "lmdb":
        fail("GC-D002", f"{told} holds no encoded images", "only an LMDB does")
    if resize is not None and min(resize) < 1:
        fail("GC-D002", f"images cannot be resized to {resize[0]} x {resize[1]}")
    with staged(target, replace=replace) as draft:
        examples = open_examples([Path(s) for s in sources], names, options, limits)
        with closing(examples):
            order = _order(examples, shuffle, seed)
            made = _written(draft, told, examples, order, swap_channels, progress)
    shape, counts = made
    kind, classes = examples.kind, examples.classes
    return Converted(str(target), told, examples.name, kind, examples.count, shape, counts, classes)


def _written(
    draft: Path,
    form: str,
    examples: Examples,
    order: Sequence[int],
    swap_channels: bool,
    progress: Progress | None,
) -> tuple[tuple[int, ...] | None, dict[int, int]]:
    """Write all examples in order; returns the first shape, and how often each label comes."""
    shape: tuple[int, ...] | None = None
    counts: dict[int, int] = {}
    with closing(WRITERS[form](draft, examples.count)) as writer:
        for done, index in enumerate(order):
            example = examples.at(index)
            if swap_channels:
                example = _swapped(example)
            writer.add(example)
            if not done and example.planes.size:
                shape = example.planes.shape
            counts[example.label] = counts.get(example.label, 0) + 1
            if progress is not None and done % EVERY == 0:
                progress(done, examples.count)
        writer.finish()
    if progress is not None:
        progress(examples.count, examples.count)
    return shape, dict(sorted(counts.items()))


def _swapped(example: Example) -> Example:
    if example.encoded or example.planes.shape[0] != 3:
        told = "is encoded" if example.encoded else f"has shape {example.planes.shape}"
        fail("GC-D002", f"channels are swapped in images of three planes; one {told}")
    return replace(example, planes=example.planes[::-1])


def _form(target: Path, form: str | None) -> str:
    told = form or SUFFIXES.get(target.suffix.lower(), "lmdb")
    if told not in WRITERS:
        fail("GC-D002", f"{told!r} is no form of data sets", f"there are {', '.join(WRITERS)}")
    return told


def _order(examples: Examples, shuffle: bool, seed: int) -> Sequence[int]:
    if not shuffle:
        return range(examples.count)
    if examples.kind == "lmdb":
        told = "the records of an LMDB are read in their order"
        fail("GC-U001", told, "shuffle when it is made")
    order = permutation(examples.count, seed=seed, layer="", purpose="convert", epoch=0)
    return [int(i) for i in order]


def _path(told: str | Path | None) -> Path | None:
    return None if told is None else Path(told)


__all__ = ["Converted", "Progress", "convert_data"]
