"""graphc inspect --lowered: calls, what they fuse, views, buffers."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphc

NET = """name: "forked"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 4 dim: 6 dim: 6 } } }
layer { name: "s" type: "Convolution" bottom: "data" top: "s"
  convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "a" type: "Convolution" bottom: "data" top: "a"
  convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "s" top: "sum" }
layer { name: "relu" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "b" type: "Convolution" bottom: "sum" top: "b"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "join" type: "Concat" bottom: "sum" bottom: "b" top: "join" }
layer { name: "drop" type: "Dropout" bottom: "join" top: "drop" }
layer { name: "y" type: "InnerProduct" bottom: "drop" top: "y"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "y" top: "prob" }
"""


@pytest.fixture
def net(cli, tmp_path: Path) -> str:
    (tmp_path / "net.prototxt").write_text(NET)
    return "net.prototxt"


def test_calls(cli, net):
    out = cli("inspect", net, "--lowered").out
    low = graphc.lowered(net)
    lines = out.splitlines()
    count = len(low.program.calls)
    assert lines[0].startswith(f"forked lowered for target cpu: {count} calls, ")
    packing = len(low.program.entries["prepare"])
    assert f"prepare, whenever weights have changed: {packing} calls" in lines
    assert f"forward: {count - packing} calls" in lines
    rows = {line.split()[1]: line for line in lines if line.startswith("   ")}
    assert "packed weight; bias" in rows["a"]
    assert "then Eltwise sum; then ReLU relu" in rows["a"] and "over s" in rows["a"]
    assert rows["a"].split()[2:4] == ["Convolution", "conv"]
    assert "data, s" in rows["a"]
    assert rows["prob"].endswith("in place")


def test_views_and_buffers(cli, net):
    lines = cli("inspect", net, "--lowered").out.splitlines()
    at = lines.index("no call at all: 1 layer")
    assert lines[at + 2] == "join   Concat  sum, b + 576 B lie in join"
    rows = lines[lines.index("buffers") + 1 :]
    assert rows[0].split() == ["id", "name", "kind", "dtype", "dims", "bytes", "lies", "in"]
    (b,) = (row.split() for row in rows if row.split()[1] == "b")
    assert b[2:5] == ["activations", "f32", "2x2x6x6"] and b[-4:] == ["join", "+", "576", "B"]
    assert len(rows) - 1 == len(graphc.lowered(net).program.buffers)


def test_json(cli, net):
    told = cli("inspect", net, "--lowered", "--json").json
    low = graphc.lowered(net)
    assert told["target"] == "cpu" and told["peak_bytes"] == low.plan.peak_bytes
    assert (told["inputs"], told["outputs"]) == ({"data": "data"}, {"prob": "prob"})
    calls = {call["name"]: call for call in told["entries"]["forward"]}
    assert list(calls) == ["s", "a", "b", "y", "prob"]
    a = calls["a"]
    assert a["fused"] == [
        {"name": "sum", "type": "Eltwise"},
        {"name": "relu", "type": "ReLU"},
    ]
    assert a["kernel"] in a["variants"] and a["attrs"]["residual"] is True
    assert a["estimate"]["us"] > 0 and a["estimate"]["from"] in ("table", "measured")
    assert {r["role"]: r["packed"] for r in a["reads"]}["weight"] is True
    assert a["in_place"] == [{"write": "y0", "over": "residual"}]
    assert a["macs"] == 2 * 4 * 4 * 36 and a["bytes"] > 0
    assert told["entries"]["prepare"][0]["type"] == ""
    assert [view["members"] for view in told["views"]] == [{"sum": 0, "b": 576}]
    assert [b["id"] for b in told["buffers"]] == list(range(len(low.program.buffers)))
    views = {b["name"]: b["view_of"] for b in told["buffers"]}
    assert views["b"]["buffer"] == "join" and views["b"]["offset"] == 576
    assert views["join"] is None


def test_target_model_and_training(cli, net):
    out = cli("inspect", net, "--lowered", "--target", "model").out
    assert "lowered for target model" in out and "packed" not in out and "then " not in out
    assert "(slow)" not in out
    for target in ("model", "cpu"):
        out = cli("inspect", net, "--lowered", "--train", "--target", target).out
        assert f"lowered for target {target}" in out and "\nbackward: " in out
        assert " y (dweight" in out and "gradients" in out


def test_a_host_step_is_called_slow(cli, tmp_path):
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }\n'
        'layer { name: "in2" type: "Input" top: "s" input_param { shape { dim: 4 } } }\n'
        'layer { name: "f" type: "Filter" bottom: "x" bottom: "s" top: "f" }\n'
    )
    assert "host (slow)" in cli("inspect", "net.prototxt", "--lowered").out


def test_an_artefact_as_it_was_compiled(cli, net):
    cli("compile", net, "-o", "plain.gcz", "--no-passes")
    cli("compile", net, "-o", "kept.gcz", "--keep", "all")
    views = cli("inspect", "plain.gcz", "--lowered", "--json").json["views"]
    assert [view["name"] for view in views] == ["join", "drop"]  # no pass has removed it
    calls = cli("inspect", "kept.gcz", "--lowered", "--json").json["entries"]["forward"]
    assert "relu" in [call["name"] for call in calls]  # what is kept is not fused


def test_threads(cli, net):
    words = ("--lowered", "--json", "--threads")
    one, eight = (cli("inspect", net, *words, n).json for n in ("1", "8"))
    assert one["peak_bytes"] <= eight["peak_bytes"]
    assert eight["peak_bytes"] == graphc.lowered(net, threads=8).plan.peak_bytes


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--lowered", "--text"), "exclude each other"),
        (("--lowered", "--prototxt"), "exclude each other"),
        (("--train",), "--train is an option of --lowered"),
        (("--target", "cpu"), "--target is an option of --lowered"),
        (("--threads", "2"), "--threads is an option of --lowered"),
        (("--lowered", "--target", "tpu"), "--target"),
        (("--lowered", "--threads", "0"), "--threads"),
    ],
)
def test_bad_options(cli, net, args, message):
    done = cli("inspect", net, *args)
    assert (done.code, done.out) == (2, "") and message in done.err
