"""Where the parts of one prepared network lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """One network in every engine's format; those named `batch` exist once per batch size."""

    folder: Path

    @property
    def caffemodel(self) -> Path:
        return self.folder / "net.caffemodel"

    @property
    def artefact(self) -> Path:
        return self.folder / "net.gcz"

    @property
    def ncnn_param(self) -> Path:
        return self.folder / "ncnn.param"

    @property
    def ncnn_weights(self) -> Path:
        return self.folder / "ncnn.bin"

    @property
    def solver(self) -> Path:
        return self.folder / "solver.prototxt"

    @property
    def train_net(self) -> Path:
        return self.folder / "train.prototxt"

    def labels(self, batch: int) -> Path:
        return self.folder / f"labels-{batch}.npy"

    def prototxt(self, batch: int) -> Path:
        return self.folder / f"deploy-{batch}.prototxt"

    def onnx(self, batch: int) -> Path:
        return self.folder / f"net-{batch}.onnx"

    def inputs(self, batch: int) -> Path:
        return self.folder / f"input-{batch}.npy"

    def expected(self, batch: int) -> Path:
        """Outputs of the float64 reference for the first and the last image of `inputs`."""
        return self.folder / f"expected-{batch}.npy"
