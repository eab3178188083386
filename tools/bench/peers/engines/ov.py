"""OpenVINO's CPU plugin, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino

from bench.peers.engines.base import Engine
from bench.peers.files import Files
from bench.peers.plain import Array


def _config(threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }


class OpenVINO(Engine):
    def version(self) -> str:
        return str(openvino.__version__)

    def load(self, files: Files, batch: int, threads: int) -> None:
        self._open(files.onnx(batch), threads)

    def _open(self, path: Path, threads: int, cache: Path | None = None) -> None:
        core = openvino.Core()
        config = _config(threads) | ({"CACHE_DIR": str(cache)} if cache else {})
        compiled = core.compile_model(str(path), "CPU", config)
        precision = compiled.get_property("INFERENCE_PRECISION_HINT")
        if str(precision.get_type_name()) != "f32":
            raise RuntimeError(f"OpenVINO computes in {precision}, although told f32")
        self.request = compiled.create_infer_request()

    def run(self, x: Array) -> Array:
        self.request.infer({0: x}, share_inputs=True)
        found: Array = self.request.get_output_tensor(0).data.copy()
        return found

    def convert(self, files: Files) -> None:
        """A compiled blob in its model cache, which it reads instead of compiling."""
        self._open(files.onnx(1), 1, _cache(files))

    def load_converted(self, files: Files) -> None:
        self._open(files.onnx(1), 1, _cache(files))


def _cache(files: Files) -> Path:
    return files.folder / "openvino-cache"


def make() -> Engine:
    return OpenVINO()
