"""Forward passes on the CPU: graphc against PyTorch, ONNX Runtime, OpenVINO, ncnn, OpenCV, Caffe.

python tools/bench/cpu.py [--python PEERS/bin/python] [--nets a,b] [--engines a,b] [--batches 1,16]
    [--threads 1,2] [--rounds N] [--cold | --cold only] [--quick] [--json FILE] [--list]
    [--show FILE]

Run it with the Python that has graphc; `--python` is the one that has the peers. What it measures
and how to read it: docs/benchmarks.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from bench.peers.cli import main

    sys.exit(main(sys.argv[1:]))
