"""ONNX Runtime on its CPU provider."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from bench.peers.engines.base import Engine
from bench.peers.files import Files
from bench.peers.plain import Array


class OnnxRuntime(Engine):
    def version(self) -> str:
        return str(onnxruntime.__version__)

    def load(self, files: Files, batch: int, threads: int) -> None:
        self._open(files.onnx(batch), threads)

    def _open(self, path: Path, threads: int, optimized: Path | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        if optimized is not None:
            options.optimized_model_filepath = str(optimized)
            options.log_severity_level = 3  # it warns that the file suits this machine only
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0].name

    def run(self, x: Array) -> Array:
        found: Array = self.session.run(None, {self.input: x})[0]
        return found

    def convert(self, files: Files) -> None:
        """The optimized graph, layouts chosen for this machine."""
        self._open(files.onnx(1), 1, _optimized(files))

    def load_converted(self, files: Files) -> None:
        self._open(_optimized(files), 1)


def _optimized(files: Files) -> Path:
    return files.folder / "ort-optimized.onnx"


def make() -> Engine:
    return OnnxRuntime()
