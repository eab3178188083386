"""graphc plan: memory before the run, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphc.cli.verbs import cli
from graphc.errors import GraphError


def call(*args: str) -> str:
    done = CliRunner().invoke(cli, ["plan", *args], catch_exceptions=True)
    if isinstance(done.exception, GraphError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("target", ["model", "cpu"])
def test_inference(root: Path, target: str) -> None:
    net = str(root / "models/lenet/deploy.prototxt")
    found = json.loads(call(net, "--target", target, "--json"))
    # conv1's output, 20 x 24 x 24, and pool1's, 20 x 12 x 12, live together; weights beside them
    assert found["peak_bytes"] >= 4 * (431_080 + 20 * 24 * 24 + 20 * 12 * 12)
    assert found["peak_bytes"] < 16 * 431_080
    assert "peak" in call(net, "--target", target)


def test_training_needs_more(root: Path) -> None:
    net = str(root / "models/lenet/train.prototxt")
    plain, train = (json.loads(call(net, *more, "--json")) for more in ((), ("--train",)))
    assert train["peak_bytes"] > plain["peak_bytes"] + 4 * 431_080


def test_timeline_draws_every_step(root: Path) -> None:
    text = call(str(root / "models/lenet/deploy.prototxt"), "--timeline")
    assert "conv1" in text
    assert "MiB" in text or "KiB" in text


def test_missing_file() -> None:
    with pytest.raises(GraphError, match="GC-F001"):
        call("nowhere.prototxt")
