"""graphc, target cpu, from an artefact."""

from __future__ import annotations

import graphc
from bench.peers.engines.base import Engine
from bench.peers.files import Files
from bench.peers.plain import Array
from graphc._core import onednn_version


class Ours(Engine):
    def version(self) -> str:
        library = onednn_version()
        return f"{graphc.__version__}, " + (f"oneDNN {library}" if library else "own kernels alone")

    def load(self, files: Files, batch: int, threads: int) -> None:
        self.exe = graphc.open(files.artefact, target="cpu", batch=batch, threads=threads)
        (self.input,), (self.output,) = self.exe.inputs, self.exe.outputs

    def run(self, x: Array) -> Array:
        return self.exe.run({self.input: x})[self.output]


def make() -> Engine:
    return Ours()
