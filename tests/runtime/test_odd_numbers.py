"""Numbers beyond float32 and signalling NaN, in inputs and weights, pass without a warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import graphc

NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "s" type: "Scale" bottom: "x" top: "y" }
"""
SIGNALLING = np.frombuffer(b"\x01\x00\xa0\x7f" * 2, np.float32)


def test_beyond_float32_is_infinite(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    exe = graphc.compile(tmp_path / "net.prototxt", passes=())
    assert np.isinf(exe.run({"x": [[1e300, -1e300]]})["y"]).all()


def test_a_signalling_nan_is_a_nan(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    exe = graphc.compile(tmp_path / "net.prototxt", passes=())
    assert np.isnan(exe.run({"x": SIGNALLING[None]})["y"]).all()
    exe.params["s"][0][...] = SIGNALLING
    assert np.isnan(exe.run({"x": [[1, 2]]})["y"]).all()
