"""A whole process of one engine: start, load, one run, one line of the result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bench.peers.engines import make
from bench.peers.files import Files


def main(name: str, folder: str) -> None:
    """Print the greatest output's index and value, as `graphc run` does."""
    files = Files(Path(folder))
    engine = make(name)
    engine.load_converted(files)
    y = engine.run(np.load(files.inputs(1)))
    if y is None:
        raise RuntimeError(f"{name} shows no outputs")
    flat = y.ravel()
    print(json.dumps({"top": int(flat.argmax()), "value": float(flat.max())}), flush=True)
