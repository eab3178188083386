"""OpenCV's dnn module and its Caffe importer, which OpenCV 5 no longer has."""

from __future__ import annotations

import cv2

from bench.peers.engines.base import Engine, Missing
from bench.peers.files import Files
from bench.peers.plain import Array


class OpenCV(Engine):
    def version(self) -> str:
        return str(cv2.__version__)

    def load(self, files: Files, batch: int, threads: int) -> None:
        cv2.setNumThreads(threads)
        self.net = cv2.dnn.readNetFromCaffe(str(files.prototxt(batch)), str(files.caffemodel))
        self.net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        self.net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)

    def run(self, x: Array) -> Array:
        self.net.setInput(x)
        found: Array = self.net.forward()
        return found


def make() -> Engine:
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise Missing(f"OpenCV {cv2.__version__} has no Caffe importer; 4.x has")
    return OpenCV()
