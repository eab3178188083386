"""graphc compile with the passes of sparse weights: tables, small files, the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from texts import conv, fc, feed

from graphc.runtime.artefact import read_artefact

NET = feed(data=(1, 8, 9, 9)) + conv("data", "a", 16) + conv("a", "b", 16) + fc("b", "y", 20)
LAYOUT = "sparse_layout:layout=direct,when=always,layers=[ab]"
RECIPE = """
[[pass]]
name = "prune_weights"
sparsity = 0.75
scope = "global"
layers = ["a", "b"]

[[pass]]
name = "quantize_weights"
bits = 4

[[pass]]
name = "sparse_layout"
layout = "csr"
when = "always"
"""


def outputs(cli, arrays, file):
    done = cli("run", file, "--input", "x.npy", "-o", "out.npz")
    assert done.code == 0, done.err
    return arrays("out.npz")["y"]


def test_prune_and_lay_out(cli, arrays):
    np.save("x.npy", np.random.default_rng(0).standard_normal((1, 8, 9, 9)).astype(np.float32))
    Path("net.prototxt").write_text(NET)
    prune = ("--pass", "prune_weights:sparsity=0.9")
    done = cli("compile", "net.prototxt", "-o", "pruned.gcz", *prune)
    assert done.code == 0, done.err
    assert "prune_weights: " in done.out and "90.0% zeros" in done.out
    laid = cli("compile", "net.prototxt", "-o", "laid.gcz", *prune, "--pass", LAYOUT)
    assert laid.code == 0, laid.err
    assert "sparse_layout: 2 of 2 layers" in laid.out and "direct" in laid.out
    first, second = (outputs(cli, arrays, f) for f in ("pruned.gcz", "laid.gcz"))
    np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-5)
    shown = cli("inspect", "laid.gcz", "--lowered")
    assert "conv_sparse" in shown.out


def test_a_recipe(cli):
    Path("net.prototxt").write_text(NET)
    Path("recipe.toml").write_text(RECIPE)
    assert cli("compile", "net.prototxt", "-o", "plain.gcz").code == 0
    done = cli("compile", "net.prototxt", "-o", "small.gcz", "--recipe", "recipe.toml")
    assert done.code == 0, done.err
    graph, _ = read_artefact("small.gcz")
    assert graph.nodes[1].attrs.conv_mode == "LOWERED_CSRMM"
    assert graph.nodes[3].attrs.gemm_mode == "SPMDM"
    assert Path("small.gcz").stat().st_size < Path("plain.gcz").stat().st_size / 2


def test_bad_options_are_told(cli):
    Path("net.prototxt").write_text(NET)
    for spec, told in (
        ("prune_weights:sparsity=1.5", "sparsity is 1.5"),
        ("prune_weights:sparsity=0.5,layers=nope", "'nope' is no layer with weights"),
        ("prune_weights:pattern=2:3", "divide into 3"),
        ("quantize_weights:bits=12", "bits is 12"),
        ("sparse_layout:layout=fast", "layout is 'fast'"),
    ):
        done = cli("compile", "net.prototxt", "-o", "net.gcz", "--pass", spec)
        assert done.code == 2 and told in done.err, (spec, done.err)
