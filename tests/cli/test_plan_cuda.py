"""graphc plan --target cuda: which kernels of libraries a budget leaves room for."""

from __future__ import annotations

from pathlib import Path

import graphc

MODELS = Path(__file__).resolve().parents[2] / "models"


def test_the_command_tells_what_it_takes(cli) -> None:
    net = str(MODELS / "alexnet" / "train.prototxt")
    done = cli("plan", net, "--train", "--target", "cuda", "--memory", "1300MB", "--explain")
    assert "kernels of 23 calls that have several; 4 with less workspace" in done.out
    assert "cudnn eng11 TILE_SIZE=4 USE_TEX=0" in done.out
    assert graphc.plan(net, train=True, target="cuda", memory="1300MB").peak_bytes <= 1_300_000_000
