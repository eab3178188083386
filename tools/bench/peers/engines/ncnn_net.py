"""ncnn in float32; a batch is its images one after the other."""

from __future__ import annotations

import ncnn
import numpy as np

from bench.peers.engines.base import Engine
from bench.peers.files import Files
from bench.peers.plain import Array, load


class Ncnn(Engine):
    def version(self) -> str:
        return str(ncnn.__version__)

    def load(self, files: Files, batch: int, threads: int) -> None:
        network = load(files.folder)
        self.input, self.output = network.input, network.output
        self.net = ncnn.Net()
        option = self.net.opt
        option.num_threads = threads
        for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(option, f"use_{half}", False)
        option.use_vulkan_compute = False
        for step, path in (("load_param", files.ncnn_param), ("load_model", files.ncnn_weights)):
            if getattr(self.net, step)(str(path)):
                raise RuntimeError(f"ncnn cannot read {path.name}")

    def run(self, x: Array) -> Array:
        return np.stack([self._image(image) for image in x])

    def _image(self, image: Array) -> Array:
        extractor = self.net.create_extractor()
        extractor.input(self.input, ncnn.Mat(image))
        status, out = extractor.extract(self.output)
        if status:
            raise RuntimeError(f"ncnn: extract returned {status}")
        return np.array(out)


def make() -> Engine:
    return Ncnn()
