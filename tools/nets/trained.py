"""The nets whose weights are in models/, with the data layers that they were trained through."""

from __future__ import annotations

from nets.builder import Net
from nets.text import Enum, Fields, Layer

SOURCES: dict[str, tuple[str, tuple[int, int], Fields]] = {
    "lenet": ("mnist", (64, 100), {"scale": 0.00390625}),
    "cifar10_quick": ("cifar10", (100, 100), {"mean_file": "mean.binaryproto"}),
}
"""Net -> what its LMDBs are called, batch sizes in training and test, the transform."""


def with_data(name: str, net: Net) -> Net:
    """A train net that reads `<source>_train_lmdb`, and in phase TEST `<source>_test_lmdb`."""
    source, batches, transform = SOURCES[name]
    layers = [
        Layer(
            "data",
            "Data",
            (),
            ("data", "label"),
            {
                "include": {"phase": Enum(phase)},
                "transform_param": transform,
                "data_param": {
                    "source": f"{source}_{phase.lower()}_lmdb",
                    "batch_size": batch,
                    "backend": Enum("LMDB"),
                },
            },
        )
        for phase, batch in zip(("TRAIN", "TEST"), batches, strict=True)
    ]
    net.layers[:1] = layers
    return net


__all__ = ["SOURCES", "with_data"]
