"""Layers with sparse weights, compiled: the right kernels, and weights that change."""

from __future__ import annotations

import numpy as np
import pytest

import graphc
from graphc.codes import CODES
from graphc.errors import GraphError

NET = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 6 dim: 9 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 16 kernel_size: 3 pad: 1 %s weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param {
  num_output: 20 %s weight_filler { type: "xavier" } } }
"""
MODES = {
    ("DIRECT_SCONV", "SPMDM"): ("conv_sparse", "inner_product_sparse"),
    ("LOWERED_CSRMM", "SPGEMM"): ("conv_sparse", "inner_product_sparse"),
    ("LOWERED_CCNMM", "PANELS"): ("conv_compact", "inner_product_panels"),
}
X = np.random.default_rng(0).standard_normal((2, 6, 9, 9)).astype(np.float32)


def loaded(tmp_path, conv, gemm, zeros=0.8):
    file = tmp_path / "net.prototxt"
    file.write_text(NET % (f"conv_mode: {conv}" * bool(conv), f"gemm_mode: {gemm}" * bool(gemm)))
    net = graphc.load(file)
    rng = np.random.default_rng(1)
    for name in ("conv:weight", "fc:weight"):
        array = net.weight(net.value(name))
        net.weights[name] = np.where(rng.random(array.shape) < zeros, 0, array).astype(np.float32)
    return net


def symbols(exe):
    return {call.name: call.variants[0].symbol for call in exe._executor.program.calls}


@pytest.mark.parametrize("modes", MODES)
def test_a_mode_chooses_the_kernel(modes, tmp_path):
    net = loaded(tmp_path, *modes)
    exe, dense = graphc.compile(net, passes=()), graphc.compile(net, target="reference", passes=())
    found = symbols(exe)
    assert (found["conv"], found["fc"]) == MODES[modes]
    np.testing.assert_allclose(exe.run({"data": X})["fc"], dense.run({"data": X})["fc"], atol=1e-5)


@pytest.mark.parametrize("modes", [("", ""), ("LOWERED_GEMM", "GEMM"), ("DIRECT_DCONV", "")])
def test_dense_modes_are_dense(modes, tmp_path):
    found = symbols(graphc.compile(loaded(tmp_path, *modes), passes=()))
    assert not {"conv_sparse", "conv_compact"} & set(found.values())


@pytest.mark.parametrize("modes", MODES)
def test_weights_that_leave_the_pattern_are_laid_out_anew(modes, tmp_path):
    net = loaded(tmp_path, *modes)
    exe = graphc.compile(net, passes=())
    exe.run({"data": X})
    params = exe.params
    for layer in ("conv", "fc"):
        params[layer][0][...] = np.random.default_rng(2).standard_normal(params[layer][0].shape)
    dense = graphc.compile(net, target="reference", passes=())
    for layer in ("conv", "fc"):
        dense.params[layer][0][...] = params[layer][0]
    made, wanted = exe.run({"data": X})["fc"], dense.run({"data": X})["fc"]
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-3)


def test_a_trained_layer_has_room_for_all(tmp_path):
    net = loaded(tmp_path, "DIRECT_SCONV", "SPMDM")
    exe = graphc.compile(net, train=True)
    calls = {call.variants[0].symbol: call for call in exe._executor.program.calls}
    assert calls["conv_sparse"].attrs["stored"] == 0
    exe.forward({"data": X})
    exe.backward({"fc": np.ones((2, 20), np.float32)})


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(GraphError) as caught:
        loaded(tmp_path, "FAST", "")
    assert caught.value.code in CODES


def test_layouts_survive_the_artefact(tmp_path):
    net = loaded(tmp_path, "DIRECT_SCONV", "PANELS")
    exe = graphc.compile(net, passes=())
    wanted = exe.run({"data": X})["fc"]
    exe.save(tmp_path / "net.gcz")
    again = graphc.open(tmp_path / "net.gcz")
    assert symbols(again)["conv"] == "conv_sparse"
    assert again.run({"data": X})["fc"].tobytes() == wanted.tobytes()
