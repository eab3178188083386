"""mean_image, describe_data: what a data set holds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphc.data.conversion import EVERY, Progress
from graphc.data.examples import Examples
from graphc.data.image_examples import ImageOptions
from graphc.data.opening import Names, open_examples
from graphc.errors import fail
from graphc.limits import Limits
from graphc.records import record

FIRST = 5


@record(frozen=True, slots=True)
class DataSummary:
    """`shapes`: (C, H, W) -> how many; `labels`: label -> how many; `keys`: the first ones."""

    source: str
    kind: str
    count: int
    dtype: str
    shapes: dict[tuple[int, ...], int]
    labels: dict[int, int]
    keys: tuple[str, ...]
    classes: tuple[str, ...]


def mean_image(
    source: str | Path | Sequence[str | Path],
    *,
    names: Names | None = None,
    images: ImageOptions | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> npt.NDArray[np.float32]:
    """The mean over all images, (C, H, W), summed in float64.

    Raises GC-D002, naming the image, if one has another shape than the first; and what reading
    raises.
    """
    with closing(open_examples(_paths(source), names, images, limits)) as examples:
        total: npt.NDArray[np.float64] | None = None
        for index in range(examples.count):
            example = examples.at(index)
            if total is None:
                total = np.zeros(example.planes.shape)
            if example.planes.shape != total.shape:
                fail(
                    "GC-D002",
                    f"{examples.name!r}, record {index} (key {example.key!r}) has shape "
                    f"{example.planes.shape}, the first {total.shape}",
                    "a mean needs images of one size; convert with --resize first",
                )
            total += example.planes
            _tell(progress, index, examples)
        assert total is not None
        return (total / examples.count).astype(np.float32)


def describe_data(
    source: str | Path | Sequence[str | Path],
    *,
    names: Names | None = None,
    images: ImageOptions | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> DataSummary:
    """Count the records of a data set by shape and label. Raises what reading raises."""
    shapes: dict[tuple[int, ...], int] = {}
    labels: dict[int, int] = {}
    keys: list[str] = []
    dtype = ""
    with closing(open_examples(_paths(source), names, images, limits)) as examples:
        for index in range(examples.count):
            example = examples.at(index)
            shape = example.planes.shape
            shapes[shape] = shapes.get(shape, 0) + 1
            labels[example.label] = labels.get(example.label, 0) + 1
            if index < FIRST:
                keys.append(example.key or f"{index:08}")
            dtype = dtype or str(example.planes.dtype)
            _tell(progress, index, examples)
        count, kind, classes = examples.count, examples.kind, examples.classes
        name = examples.name
    return DataSummary(
        name, kind, count, dtype, shapes, dict(sorted(labels.items())), tuple(keys), classes
    )


def _tell(progress: Progress | None, index: int, examples: Examples) -> None:
    if progress is not None and ((index + 1) % EVERY == 0 or index + 1 == examples.count):
        progress(index + 1, examples.count)


def _paths(source: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(source)] if isinstance(source, (str, Path)) else [Path(s) for s in source]


__all__ = ["DataSummary", "describe_data", "mean_image"]
