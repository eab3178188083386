"""Nets for the tests of the driver, in the current folder, and the refusals they meet."""

from collections.abc import Callable
from pathlib import Path

import pytest
from texts import fc, layer, softmax_loss

from graphc.errors import GraphError

HDF5 = layer("HDF5Data", "", "data label", 'hdf5_data_param { source: "list.txt" batch_size: 4 }')
STORED = HDF5 + fc("data", "y", 3) + softmax_loss("y")
SHAPES = {"data": (4, 5), "label": (4,)}
"""Of what the data layer of STORED gives."""


def write(text: str, name: str = "net.prototxt") -> str:
    Path(name).write_text(text)
    return name


def refused(call: Callable[[], object], code: str) -> GraphError:
    with pytest.raises(GraphError) as caught:
        call()
    assert caught.value.code == code, caught.value
    return caught.value
