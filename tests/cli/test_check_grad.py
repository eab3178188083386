"""graphc check-grad."""

from pathlib import Path

import pytest

from graphc.ops.inner_product import InnerProduct

LENET = Path(__file__).resolve().parents[2] / "models/lenet/train.prototxt"


def test_table(cli):
    done = cli("check-grad", LENET, "--batch", "2", "--layer", "ip2", "--layer", "conv1")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert [row[0] for row in rows[1:5]] == ["conv1/0", "conv1/1", "ip2/0", "ip2/1"]
    assert all(row[-1] in ("ok", "kink") for row in rows[1:5])
    assert done.out.splitlines()[-1].startswith("right: 4 gradients on target cpu")


def test_wrong_gradients_end_with_1(cli, monkeypatch: pytest.MonkeyPatch):
    true = InnerProduct.vjp
    monkeypatch.setattr(
        InnerProduct, "vjp", staticmethod(lambda a, part, v, ctx: -true(a, part, v, ctx))
    )
    words = ("--batch", "2", "--layer", "ip2", "--target", "reference")
    done = cli("check-grad", LENET, *words)
    assert done.code == 1
    assert "WRONG: ip2/0, ip2/1, of 2 gradients" in done.out
    found = cli("check-grad", LENET, *words, "--json")
    assert (found.code, found.json["ok"]) == (1, False)
    assert {blob["verdict"] for blob in found.json["blobs"]} == {"WRONG"}


def test_unknown_layer(cli):
    done = cli("check-grad", LENET, "--layer", "ip3")
    assert (done.code, "GC-R002" in done.err) == (2, True)
