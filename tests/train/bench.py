"""Bench: a small network and its solver, in files, for tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphc import GraphError, Solver

NET = """
name: "small"
layer { name: "in" type: "Input" top: "x" top: "label"
        input_param { shape { dim: 6 dim: 3 dim: 8 dim: 8 } shape { dim: 6 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" PARAM
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
FIXED = 'net: "net.prototxt" base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" random_seed: 2 '


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.net(NET.replace("PARAM", ""))

    def net(self, text: str) -> None:
        (self.folder / "net.prototxt").write_text(text)

    def solver(self, fields: str = "", **words: Any) -> Solver:
        return Solver(self.write(FIXED + fields), **words)

    def write(self, text: str) -> Path:
        path = self.folder / "solver.prototxt"
        path.write_text(text)
        return path

    def refused(self, text: str, **words: Any) -> str:
        with pytest.raises(GraphError) as caught:
            Solver(self.write(text), **words)
        return str(caught.value)
