"""A layer without tops is inferred like any other: what it cannot take is refused at load."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphc
from graphc.errors import GraphError

NET = """
layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 3 dim: 2 } } }
layer { name: "b" type: "Input" top: "b" input_param { shape { dim: %d } } }
layer { name: "out" type: "HDF5Output" bottom: "a" bottom: "b"
  hdf5_output_param { file_name: "out.h5" } }
"""


def test_bottoms_of_a_sink_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET % 3)
    assert graphc.load(path).shaped
    path.write_text(NET % 2)
    with pytest.raises(GraphError) as caught:
        graphc.load(path)
    assert (caught.value.code, caught.value.layer) == ("GC-S003", "out")
    assert not (tmp_path / "out.h5").exists()
