"""Five labelled images as an LMDB and as files, and the layers that read them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
from data.makers import pictures

from graphc.data.record_source import RecordSource
from graphc.errors import GraphError
from graphc.ops.data import DataAttrs
from graphc.ops.image_data import ImageDataAttrs

IMAGES = pictures(5, 4, 6, 3)


def planes(index: int) -> np.ndarray:
    return IMAGES[index][..., ::-1].transpose(2, 0, 1)


def data_attrs(batch: int = 2, **fields: Any) -> DataAttrs:
    return DataAttrs("db", batch, backend="LMDB", **fields)


def image_attrs(batch: int = 2, **fields: Any) -> ImageDataAttrs:
    return ImageDataAttrs("list.txt", batch, **fields)


def labels(source: RecordSource, batches: int) -> list[list[int]]:
    return [[int(x) for x in source.next()["label"]] for _ in range(batches)]


def refused(op: Any, attrs: Any, s: Any, steps: int = 1) -> GraphError:
    with pytest.raises(GraphError) as caught, closing(op.open(attrs, s)) as source:
        for _ in range(steps):
            source.next()
    return caught.value
