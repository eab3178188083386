"""Training steps on the CPU: graphc.Solver against PyTorch eager, interleaved.

python tools/bench/training.py [--python PEERS/bin/python] [--nets lenet,alexnet] [--batch N]
    [--threads 1,2] [--rounds N] [--json FILE]

Run it with the Python that has graphc; `--python` is the one that has PyTorch. A trainer's name may
end in @N: graphc-train@50 does with 50 % of the work arena, torch-train-cl@2 checkpoints segments
that go over 2 places where a single blob is alive. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parent.parent))


def main(words: list[str]) -> int:
    from bench.peers.files import Files
    from bench.peers.rounds import Cell, Settings
    from bench.peers.training import STANDARD, TRAINERS, prepare, run_cell, table

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--nets", default=",".join(STANDARD))
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turn", type=float, default=1.0, help="seconds of the slowest's turn")
    parser.add_argument("--trainers", default=",".join(TRAINERS))
    parser.add_argument("--json", type=Path)
    to = parser.parse_args(words)
    settings = Settings(to.python, to.rounds, to.turn)
    cells = []
    for net in to.nets.split(","):
        batch = to.batch or STANDARD.get(net, 16)
        with TemporaryDirectory() as folder:
            nbytes = prepare(net, batch, 1, Path(folder))
            for threads in map(int, to.threads.split(",")):
                cell = Cell(net, batch, threads)
                trainers = to.trainers.split(",")
                say = partial(print, file=sys.stderr)
                found = run_cell(cell, Files(Path(folder)), nbytes, trainers, settings, say)
                cells.append(found)
                print(table([found]), flush=True)
    if to.json:
        to.json.write_text(json.dumps(cells, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
