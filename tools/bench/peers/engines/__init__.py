"""The engines by name. Each file imports its own package alone, in a process of its own."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from bench.peers.engines.base import Engine


@dataclass(frozen=True)
class Entry:
    """`module` in this folder, with `options` for its `make`; `about` says how it is run."""

    module: str
    about: str
    options: tuple[str, ...] = ()


OURS, AGAIN = "graphc", "graphc-again"
ENGINES: dict[str, Entry] = {
    OURS: Entry("ours", "target cpu, an opened artefact"),
    "torch": Entry("torch_eager", "PyTorch eager, NCHW, batch norms folded"),
    "torch-cl": Entry("torch_eager", "the same, channels_last", ("channels_last",)),
    "onnxruntime": Entry("ort", "ONNX Runtime, CPU provider, all graph optimizations"),
    "openvino": Entry("ov", "OpenVINO, f32, one stream, latency hint"),
    "ncnn": Entry("ncnn_net", "ncnn, f32, batch norms and ReLUs folded; image by image"),
    "opencv": Entry("opencv", "OpenCV's Caffe importer (OpenCV 4)"),
    "caffe": Entry("caffe_time", "the `caffe` on the PATH, by `caffe time`"),
}
TRAINERS: dict[str, Entry] = {
    f"{OURS}-train": Entry("our_training", "graphc.Solver, target cpu"),
    "torch-train": Entry("torch_training", "PyTorch eager, NCHW, fused SGD"),
    "torch-train-cl": Entry("torch_training", "the same, channels_last", ("channels_last",)),
    f"{OURS}-train-again": Entry("our_training", "graphc.Solver, target cpu"),
}


def make(name: str) -> Engine:
    """The engine called `name` (AGAIN: a second one of ours). A trainer's may end in @N, which is
    how much memory it should do with. Raises ImportError, OSError, and Missing where it cannot run
    here."""
    plain, at, level = name.partition("@")
    entry = (ENGINES | TRAINERS)[OURS if name == AGAIN else plain]
    module = importlib.import_module(f"bench.peers.engines.{entry.module}")
    made: Engine = module.make(*entry.options, **({"level": int(level)} if at else {}))
    return made


__all__ = ["AGAIN", "ENGINES", "OURS", "TRAINERS", "Engine", "Entry", "make"]
