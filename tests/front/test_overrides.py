"""Overrides: every kind of field set by its path, and whatever cannot be set refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.driver import prepare
from graphc.errors import GraphError
from graphc.front import parse_net, read_net
from graphc.front.net import net_of
from graphc.front.override_paths import Step, parse_path, parse_set
from graphc.front.overrides import NetOverrides, split_overrides
from graphc.front.schema import union
from graphc.front.solver import read_solver
from graphc.ir.graph import Graph

NET = """
name: "net"
layer { name: "data" type: "HDF5Data" top: "x" top: "t" include { phase: TRAIN }
        hdf5_data_param { source: "train.txt" batch_size: 4 } }
layer { name: "data" type: "HDF5Data" top: "x" top: "t" include { phase: TEST }
        hdf5_data_param { source: "test.txt" batch_size: 2 } }
layer { name: "a/1.x[2]=@TEST" type: "InnerProduct" bottom: "x" top: "a" param { lr_mult: 1 }
        inner_product_param { num_output: 3 weight_filler { type: "constant" value: 1 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
        param { name: "w" lr_mult: 1 } param { lr_mult: 2 }
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "pool" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 } }
layer { name: "drop" type: "Dropout" bottom: "p" top: "d" include { phase: TRAIN stage: "s" } }
"""


def read(overrides: Mapping[str, Any] | Iterable[tuple[str, Any]], **words: Any) -> Graph:
    return parse_net(NET, set=overrides, **words)


def refused(overrides: Any, code: str, text: str = NET, **words: Any) -> str:
    with pytest.raises(GraphError) as caught:
        parse_net(text, set=overrides, **words)
    assert caught.value.code == code, caught.value
    return str(caught.value)


def attrs(path: str, value: Any, layer: str) -> Any:
    return read({path: value}).node(layer).attrs


@pytest.mark.parametrize("value", ["8", 8, " 8 ", "+8", np.int32(8)])
def test_numbers(value: Any) -> None:
    assert attrs("layer[conv].convolution_param.num_output", value, "conv").num_output == 8


@pytest.mark.parametrize("value", ["AVE", "ave", "1", 1])
def test_enums(value: Any) -> None:
    assert attrs("layer[pool].pooling_param.pool", value, "pool").pool == "AVE"


@pytest.mark.parametrize("value", ["false", "False", "0", False, 0])
def test_bools(value: Any) -> None:
    made = attrs("layer[conv].convolution_param.bias_term", value, "conv")
    assert made.bias_term is False


@pytest.mark.parametrize("value", ["other.txt", "'other.txt'", '"other.txt"', Path("other.txt")])
def test_texts(value: Any) -> None:
    assert attrs("layer[data].hdf5_data_param.source", value, "data").source == "other.txt"


def test_floats_and_nested_messages() -> None:
    path = "layer[a/1.x[2]=@TEST].inner_product_param.weight_filler.value"
    for value, expected in (("0.5", 0.5), (1, 1.0), ("-1e-3", np.float32(-1e-3)), ("inf", np.inf)):
        made = attrs(path, value, "a/1.x[2]=@TEST")
        assert made.weight_filler.value == expected and made.num_output == 3


def test_whole_lists_and_single_elements() -> None:
    kernel = "layer[conv].convolution_param.kernel_size"
    assert attrs(kernel, "3,5", "conv").kernel_size == (3, 5)
    assert attrs(kernel, [1, 2], "conv").kernel_size == (1, 2)
    assert attrs(kernel, "[ 4 , 4 ]", "conv").kernel_size == (4, 4)
    assert attrs(kernel, "7", "conv").kernel_size == (7,)
    assert attrs(f"{kernel}[0]", "5", "conv").kernel_size == (5,)
    assert attrs(f"{kernel}[+]", "5", "conv").kernel_size == (3, 5)
    assert attrs("layer[conv].convolution_param.pad", "", "conv").pad == ()
    tops = read({"layer[data].top": "'a,b', t", "layer[conv].bottom": "'a,b'",
                 "layer[a/1.x[2]=@TEST].bottom[0]": '"a,b"'})  # fmt: skip
    assert [v.name for v in tops.node("data").outs.values()] == ["a,b", "t"]


def test_later_ones_win() -> None:
    path = "layer[conv].convolution_param.num_output"
    assert read([(path, "5"), (path, "6")]).node("conv").attrs.num_output == 6
    two = read([("layer[conv].convolution_param.pad[+]", "1")] * 2)
    assert two.node("conv").attrs.pad == (1, 1)


def test_messages_in_braces() -> None:
    made = attrs("layer[conv].convolution_param", "{ num_output: 2 kernel_size: 1 }", "conv")
    assert (made.num_output, made.kernel_size) == (2, (1,))
    graph = read({"layer[+]": '{ name: "r" type: "ReLU" bottom: "p" top: "r" }',
                  "layer[pool]": '{ name: "pool" type: "ReLU" bottom: "c" top: "p" }'})  # fmt: skip
    assert [n.name for n in graph.nodes][-1] == "r" and graph.node("pool").op.type == "ReLU"
    specs = read({"layer[pool].param[+]": "{}"}).node("pool").specs
    assert len(specs) == 1


def test_elements_by_name_and_number() -> None:
    specs = (
        read({"layer[conv].param[w].lr_mult": 0, "layer[conv].param[1].lr_mult": 7})
        .node("conv")
        .specs
    )
    assert [spec.lr_mult for spec in specs] == [0, 7]
    assert read({"layer[4].name": "fifth"}).node("fifth").op.type == "Pooling"
    assert read({"name": "n", "force_backward": "1"}).force_backward


def test_layers_of_one_phase() -> None:
    """Without a phase all of the name; with one, as that phase has it, whatever is read now."""
    size = "hdf5_data_param.batch_size"
    for phase, own in (("TRAIN", 4), ("TEST", 2)):
        both = read({f"layer[data].{size}": 9}, phase=phase)
        assert both.node("data").attrs.batch_size == 9
        test = read({f"layer[data@TEST].{size}": 9}, phase=phase)
        assert test.node("data").attrs.batch_size == (9 if phase == "TEST" else own)
        conv = read({"layer[conv@TRAIN].convolution_param.num_output": 9}, phase=phase)
        assert conv.node("conv").attrs.num_output == (9 if phase == "TRAIN" else 4)
        assert bool(conv.history) == (phase == "TRAIN")
    ratio = {"layer[drop@TRAIN].dropout_param.dropout_ratio": 0.25}
    staged = read(ratio, phase="TRAIN", stages=("s",))
    assert staged.node("drop").attrs.dropout_ratio == 0.25
    assert "not there in phase TRAIN" in refused(ratio, "GC-R002", phase="TRAIN")
    assert "not there in phase TEST" in refused({"layer[drop@TEST].type": "ReLU"}, "GC-R002")


def test_the_name_itself_comes_before_a_phase() -> None:
    path = "layer[a/1.x[2]=@TEST].inner_product_param.num_output"
    assert read({path: 5}, phase="TRAIN").node("a/1.x[2]=@TEST").attrs.num_output == 5
    assert parse_set(f"{path}=a=b") == (path, "a=b")


def test_old_nets(tmp_path: Path) -> None:
    """After the upgrade layers are layers; net inputs are set as they are written."""
    text = """input: "x" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
    layers { name: "ip" type: INNER_PRODUCT bottom: "x" top: "y"
             inner_product_param { num_output: 2 } }
    """
    graph = parse_net(text, set={"layer[ip].inner_product_param.num_output": 5, "input_dim[0]": 7})
    prepare(graph)
    assert graph.node("ip").attrs.num_output == 5
    assert graph.inputs[0].type is not None and graph.inputs[0].type.shape == (7, 3, 8, 8)
    assert graph.history[0].detail[0] == "input_dim[0] = 7"
    old = parse_net(text, set={"layers[ip].inner_product_param.num_output": 6})
    assert old.node("ip").attrs.num_output == 6
    shape = parse_net(text, set={"layer[input].input_param.shape[0].dim": "2,3,8,8"})
    assert shape.node("input").attrs.shape[0].dim == (2, 3, 8, 8)


def test_binary_nets(tmp_path: Path) -> None:
    net = union().new("NetParameter")
    net.layer.add(name="in", type="Input", top=["x"]).input_param.shape.add().dim.extend([2, 3])
    net.layer.add(name="ip", type="InnerProduct", bottom=["x"], top=["y"])
    net.layer[1].inner_product_param.num_output = 4
    path = tmp_path / "net.binaryproto"
    path.write_bytes(net.SerializeToString())
    graph = read_net(path, set={"layer[ip].inner_product_param.num_output": 5})
    assert graph.node("ip").attrs.num_output == 5


def test_provenance() -> None:
    graph = read({"layer[conv].convolution_param.num_output": 8})
    (record,) = graph.history
    assert (record.name, record.changed) == ("set", True)
    assert record.detail == ("layer[conv].convolution_param.num_output = 8",)
    assert not read({}).history


UNKNOWN = {
    "layer[cnv].type": "did you mean 'conv'",
    "layer[cnv@TEST].type": "did you mean 'conv'",
    "layer[conv@TSET].type": "@TRAIN or @TEST",
    "layer[99].type": "there are 'data', 'a/1.x[2]=@TEST', 'conv', 'pool', 'drop'",
    "layer[-1].type": "no layer '-1'",
    "layer[conv].convolution_parm.pad": "did you mean 'convolution_param'",
    "layer[conv].convolution_param.num_outputs": "did you mean 'num_output'",
    "layer[conv].param[3].lr_mult": "'param' has 2 entries, and no [3]",
    "layer[conv].param[v].lr_mult": "'param' has 2 entries, and no [v]",
    "layer[conv].param[99999999999999999999].lr_mult": "and no [9999",
    "layer[pool].param[0].lr_mult": "'param' has no entries, and no [0]",
    "layer[conv].convolution_param.kernel_size[1]": "'kernel_size' has 1 entry, and no [1]",
    "layer.type": "write layer[data].type",
    "layer": "'layer' can be there several times",
    "layer[conv].param.lr_mult": "write param[w].lr_mult",
    "layer[conv].convolution_param[0].pad": "is there once and has no [0]",
    "layer[conv].type[0]": "is one value and has no [0]",
    "layer[conv].type.x": "'type' has no fields, such as 'x'",
    "net.layer[conv].type": "this is a network; leave out net.",
    "base_lr": "it is a solver's",
}


@pytest.mark.parametrize("path", UNKNOWN)
def test_what_does_not_exist(path: str) -> None:
    told = refused({path: "{}" if path == "layer" else "1"}, "GC-R002")
    assert UNKNOWN[path] in told
    assert told.startswith(f"--set {path}"[:40])


NO_PATHS = ["", ".", "a.", ".a", "a..b", "layer[]", "layer[", "layer[a", "layer[a]b", "layer[a][b]"]
NO_PATHS += ["a b", "a-b", "[a]", "a" * 300, ".".join(["a"] * 40), "a[" * 6000, "a." * 20_000]


@pytest.mark.parametrize("path", NO_PATHS, ids=lambda path: path[:12])
def test_no_paths(path: str) -> None:
    assert len(refused({path: "1"}, "GC-R004")) < 500


WRONG = [
    ("layer[conv].convolution_param.num_output", "x", "is a whole number, and not 'x'"),
    ("layer[conv].convolution_param.num_output", "", "is a whole number, and not ''"),
    ("layer[conv].convolution_param.num_output", "1.0", "is a whole number"),
    ("layer[conv].convolution_param.num_output", 1.0, "is a whole number, and not 1.0"),
    ("layer[conv].convolution_param.num_output", True, "is a whole number, and not True"),
    ("layer[conv].convolution_param.num_output", None, "is a whole number, and not None"),
    ("layer[conv].convolution_param.num_output", "-1", "cannot be -1"),
    ("layer[conv].convolution_param.num_output", "4294967296", "from 0 to 4294967295"),
    ("layer[conv].convolution_param.num_output", "9" * 5000, "is a whole number"),
    ("layer[conv].convolution_param.axis", "2147483648", "from -2147483648 to 2147483647"),
    ("layer[conv].convolution_param.bias_term", "yes", "is true or false, and not 'yes'"),
    ("layer[conv].convolution_param.bias_term", 1.0, "is true or false, and not 1.0"),
    ("layer[conv].param[0].lr_mult", "fast", "is a number, and not 'fast'"),
    ("layer[conv].param[0].lr_mult", "", "is a number, and not ''"),
    ("layer[conv].param[0].lr_mult", "1e300", "float32 ends at 3.4e38"),
    ("layer[conv].param[0].lr_mult", 10**400, "is a number"),
    ("layer[conv].param[0].lr_mult", False, "is a number, and not False"),
    ("layer[pool].pooling_param.pool", "MIN", "did you mean 'MAX'|one of MAX, AVE, STOCHASTIC"),
    ("layer[pool].pooling_param.pool", "9", "one of MAX, AVE, STOCHASTIC"),
    ("layer[pool].pooling_param.pool", [], "cannot be []"),
    ("layer[pool].name", 5, "is text, and not 5"),
    ("layer[pool].name", "\ud800", "is UTF-8 text"),
    ("layer[pool].pooling_param", "3", "has fields of its own, and is no '3'"),
    ("layer[pool].pooling_param", {"pool": 1}, "has fields of its own"),
    ("layer[pool].pooling_param", "{", "has fields of its own"),
    ("layer[pool]", "ReLU", "has fields of its own, and is no 'ReLU'"),
    ("layer[conv].convolution_param.kernel_size", "3,,3", "is a whole number, and not ''"),
    ("layer[conv].convolution_param.kernel_size", "3,", "is a whole number, and not ''"),
    ("layer[conv].convolution_param.kernel_size", "'3' 4", "is a whole number"),
]


@pytest.mark.parametrize(("path", "value", "why"), WRONG, ids=lambda each: repr(each)[:20])
def test_values_that_cannot_be(path: str, value: Any, why: str) -> None:
    told = refused({path: value}, "GC-R004")
    assert any(each in told for each in why.split("|")), told
    assert told.startswith(f"--set {path}: ") and len(told) < 500


def test_text_in_braces_is_held_to_limits_and_lines() -> None:
    told = refused({"layer[pool].pooling_param": "{ kernel: 3 }"}, "GC-P001")
    assert told.startswith("--set layer[pool].pooling_param:1: ") and "did you mean" in told
    deep = "{ a" * 10_000 + "}" * 10_000
    refused({"layer[pool].pooling_param": deep}, "GC-L001")


def test_long_values_are_read_in_one_go() -> None:
    """Nothing looks at them again and again."""
    gap = " " * 1_000_000
    source = f"a{gap}b"
    assert attrs("layer[data].hdf5_data_param.source", source, "data").source == source
    assert attrs("layer[conv].convolution_param.kernel_size", f"3{gap},{gap}5", "conv").kernel_size
    many = ",".join(["1"] * 100_000)
    assert len(read({"layer[conv].convolution_param.pad": many}).node("conv").attrs.pad) == 100_000


def test_what_is_no_mapping() -> None:
    for wrong in ("layer[conv].type=ReLU", ["a"], [("a",)], [(1, 2)], {1: 2}):
        refused(wrong, "GC-R004")


@pytest.mark.parametrize("text", ["", "a", "layer[a=b", "layer[a=b]"])
def test_what_is_no_setting(text: str) -> None:
    with pytest.raises(GraphError, match=r"GC-R004.*is not PATH=VALUE"):
        parse_set(text)


def test_paths() -> None:
    assert parse_path("a.b[0].c") == [Step("a"), Step("b", "0"), Step("c")]
    assert parse_path("layer[x.y/z].p") == [Step("layer", "x.y/z"), Step("p")]
    assert parse_set(" a = b=c ") == ("a", " b=c ")


SOLVER = """net: "net.prototxt" base_lr: 0.1 solver_type: NESTEROV stepvalue: 5 stepvalue: 9
test_iter: 3 snapshot_prefix: "x" test_state { stage: "a" }
"""


def solver(tmp_path: Path, overrides: Any, text: str = SOLVER) -> Any:
    path = tmp_path / "solver.prototxt"
    path.write_text(text)
    return read_solver(path, set=overrides)


def test_solvers(tmp_path: Path) -> None:
    told = {"base_lr": "0.25", "stepvalue": "1,2,3", "test_iter[0]": 7, "type": "Adam"}
    told |= {"net": "a=b.prototxt", "test_state[0].stage[+]": "b", "snapshot_format": "hdf5"}
    found = solver(tmp_path, told)
    assert (found.base_lr, list(found.stepvalue), list(found.test_iter)) == (0.25, [1, 2, 3], [7])
    assert (found.type, found.net, found.snapshot_format) == ("Adam", "a=b.prototxt", 0)
    assert list(found.test_state[0].stage) == ["a", "b"] and not found.HasField("solver_type")
    (tmp_path / "folder").mkdir()
    prefix = solver(tmp_path, {"snapshot_prefix": tmp_path / "folder"}).snapshot_prefix
    assert prefix == str(tmp_path / "folder/solver")


def test_solvers_with_networks_inside(tmp_path: Path) -> None:
    inside = SOLVER.replace('net: "net.prototxt"', 'net_param { layer { name: "a" type: "ReLU" } }')
    found = solver(tmp_path, {"net_param.layer[a].name": "b"}, inside)
    assert found.net_param.layer[0].name == "b"
    named = solver(tmp_path, {"net": "other.prototxt"}, inside)
    assert named.net == "other.prototxt" and not named.HasField("net_param")


def test_solver_errors(tmp_path: Path) -> None:
    for path, value, code, told in (
        ("base_lrs", "1", "GC-R002", "did you mean 'base_lr'"),
        ("layer[a].type", "1", "GC-R002", "net.layer"),
        ("base_lr", "x", "GC-R004", "is a number"),
        ("test_iter[1]", "1", "GC-R002", "has 1 entry, and no [1]"),
        ("max_iter", "3000000000", "GC-R004", "to 2147483647"),
    ):
        with pytest.raises(GraphError) as caught:
            solver(tmp_path, {path: value})
        assert caught.value.code == code and told in str(caught.value)
        assert str(caught.value).startswith(f"--set {path}: ")


def test_split() -> None:
    own, nets = split_overrides({"base_lr": 1, "net": "a", "net.layer[x].type": "ReLU"})
    assert own == [("base_lr", 1), ("net", "a")] and bool(nets)
    assert not split_overrides([])[1]


def test_several_networks_of_a_solver() -> None:
    """Each override must meet a layer in one of them, and names in errors begin with net."""
    one = 'layer { name: "a" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
    two = one.replace('"a"', '"b"')
    told = {"net.layer[a].name": "c", "net.layer[b].name": "d"}
    _, nets = split_overrides(told)
    assert parse_net(one, set=nets).nodes[0].name == "c"
    assert parse_net(two, set=nets).nodes[0].name == "d"
    nets.check()
    _, nets = split_overrides({"net.layer[aa].name": "c"})
    assert parse_net(one, set=nets).nodes[0].name == "a" and parse_net(two, set=nets).nodes
    with pytest.raises(
        GraphError, match=r"--set net\.layer\[aa\]\.name: .*no layer 'aa'"
    ) as caught:
        nets.check()
    assert "did you mean 'a'" in caught.value.hint
    with pytest.raises(GraphError, match=r"--set net\.layer\[a\]\.nme: "):
        parse_net(one, set=NetOverrides({"layer[a].nme": 1}, "net."))


def test_nets_within_solvers_become_graphs(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("")
    text = f"net_param {{ {NET} state {{ stage: 's' }} }} base_lr: 1"
    message = solver(tmp_path, {}, text).net_param
    before = message.SerializeToString()
    file = str(tmp_path / "solver.prototxt")
    graph = net_of(message, file=file, phase="TRAIN", set={"layer[data].name": "d"})
    assert [n.name for n in graph.nodes][:2] == ["d", "a/1.x[2]=@TEST"]
    assert graph.stages == ("s",) and graph.base == tmp_path and graph.phase == "TRAIN"
    assert graph.nodes[-1].name == "drop"
    assert message.SerializeToString() == before
    old = solver(tmp_path, {}, 'net_param { layers { name: "a" type: RELU bottom: "x" top: "y" } }')
    with pytest.raises(GraphError, match=r"solver\.prototxt: GC-N002: layer 'a' \(ReLU\)"):
        net_of(old.net_param, file=file)
    with pytest.raises(GraphError, match=r"solver\.prototxt: GC-P001: no layer"):
        net_of(union().new("NetParameter"), file=file)
