"""A small network in an empty folder, and a way to call graphc there without a new process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.cli.main import main
from graphc.front.weights import write_weights

TINY = """name: "tiny"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "drop" }
layer { name: "fc" type: "InnerProduct" bottom: "drop" top: "fc"
  inner_product_param { num_output: 12 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


@dataclass
class Result:
    """What a call left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as the one JSON object it must be."""
        return json.loads(self.out)


Cli = Callable[..., Result]


def call(*args: object) -> Result:
    """Run graphc in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(a) for a in args])
    code = left.value.code
    assert isinstance(code, int)
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """graphc in an empty folder, undisturbed by the caller's settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("GRAPHC_DEBUG", "GRAPHC_CACHE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return call


@pytest.fixture
def arrays() -> Callable[[Path | str], dict[str, Any]]:
    """A way to read all of an .npz."""

    def read(path: Path | str) -> dict[str, Any]:
        with np.load(path) as file:
            return dict(file)

    return read


@pytest.fixture
def tiny(cli: Cli, tmp_path: Path) -> Path:
    """tiny.prototxt in the folder where graphc runs, and its weights tiny.caffemodel."""
    path = tmp_path / "tiny.prototxt"
    path.write_text(TINY)
    graph = graphc.load(path, seed=7)
    write_weights(graph, tmp_path / "tiny.caffemodel")
    return Path(path.name)


@pytest.fixture
def artefact(cli: Cli, tiny: Path) -> Path:
    """tiny.gcz, compiled with weights."""
    done = cli("compile", tiny, "-w", "tiny.caffemodel")
    assert done.code == 0, done.err
    return Path("tiny.gcz")
