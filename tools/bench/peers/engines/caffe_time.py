"""Real Caffe through its command line: `caffe time`, which tells mean times and no outputs.

The weights are the prototxt's fillers, which changes no time. One turn is one process; its forward
time counts the layers alone, without loading.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from pathlib import Path

from bench.peers.engines.base import Engine, Missing, Samples
from bench.peers.files import Files
from bench.peers.plain import Array

FORWARD = re.compile(r"Average Forward pass: ([\d.eE+-]+) ms")


class Caffe(Engine):
    def __init__(self, program: str) -> None:
        self.program = program
        self.model = Path()

    def version(self) -> str:
        done = subprocess.run([self.program, "--version"], capture_output=True, text=True)
        lines = (done.stdout + done.stderr).split("\n")
        return lines[0].strip() or "unknown"

    def load(self, files: Files, batch: int, threads: int) -> None:
        self.model = files.prototxt(batch)

    def run(self, x: Array) -> None:
        """Caffe's own check of the network; its outputs are not shown."""
        self.measure(x, 1)

    def measure(self, x: Array, count: int) -> Samples:
        command = [self.program, "time", f"--model={self.model}", f"--iterations={count}"]
        done = subprocess.run([*command, "--phase=TEST"], capture_output=True, text=True)
        found = FORWARD.search(done.stdout + done.stderr)
        if done.returncode or not found:
            told = (done.stderr or done.stdout).strip().split("\n")[-1]
            raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}: {told}")
        return Samples(wall=[float(found[1]) / 1000])

    def peak_bytes(self) -> int:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def make() -> Engine:
    program = shutil.which("caffe")
    if program is None:
        raise Missing("there is no `caffe` on the PATH")
    return Caffe(program)
