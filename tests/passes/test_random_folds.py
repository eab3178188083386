"""All exact passes in random orders on random nets: outputs and surviving blobs keep their values.

GRAPHC_FUZZ_CASES sets the number of orders (402).
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, note, settings
from hypothesis import strategies as st
from passes.random_nets import feeds, filled, nets

import graphc
from graphc.front.blobs import blob_names
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.export import to_prototxt
from graphc.ir.text import print_graph
from graphc.passes.registry import DEFAULT

ORDERS = 3
"""Orders of passes tried on each net."""
EXAMPLES = int(os.environ.get("GRAPHC_FUZZ_CASES") or 402) // ORDERS
NAMES = [*DEFAULT, "merge_convolutions:when=always", "fold_constants:fixed_batch=true"]
MORE = ("", "cpu", "export", "again")
REFERENCE, CPU = 1e-5, 1e-4
FLOOR = 1e-2


def orders():
    return st.one_of(st.just("default"), st.lists(st.sampled_from(NAMES), min_size=1, max_size=7))


@st.composite
def cases(draw):
    """The text of a net, ways to rewrite it, blobs to keep, and what to look at besides."""
    text, blobs = draw(nets())
    keep = draw(st.lists(st.sampled_from(blobs), max_size=2, unique=True))
    ways = [(draw(orders()), draw(st.sampled_from(MORE))) for _ in range(ORDERS)]
    return text, ways, keep


def close(found, plain, tolerance, names):
    for name in names:
        scale = np.abs(plain[name][np.isfinite(plain[name])]).max(initial=FLOOR)
        np.testing.assert_allclose(
            found[name], plain[name], rtol=0, atol=tolerance * scale, err_msg=name
        )


def optimized(net, order, keep):
    if order != "default":
        order = [graphc.passes.recipe.parse_spec(each) for each in order]
    return graphc.optimize(net, order, keep=keep, measure=False)


@settings(max_examples=EXAMPLES)
@given(cases())
def test_values_survive(case):
    text, ways, keep = case
    note(text)
    net = filled(text)
    before = print_graph(net)
    plain = graphc.compile(net, target="reference", passes=(), keep="all").run(feeds())
    for order, more in ways:
        check(net, order, keep, plain, more)
        assert print_graph(net) == before


def check(net, order, keep, plain, more):
    """`plain`: every blob's values before any pass."""
    short, report = optimized(net, order, keep)
    note(f"{order}: {report}")
    found = graphc.compile(short, target="reference", passes=(), keep="all").run(feeds())
    assert list(found)[: len(net.outputs)] == [v.name for v in net.outputs]
    assert set(keep) <= set(found)
    close(found, plain, REFERENCE, [name for name in found if name in plain])
    if more == "cpu":
        core = graphc.compile(short, target="cpu", passes=(), keep=keep).run(feeds())
        close(core, plain, CPU, core)
    elif more == "export" and has_own_names(short):
        check_export(short, found)
    elif more == "again":
        _, report = optimized(short, order, keep)
        assert order != "default" or not any(r.changed for r in report.passes)


def has_own_names(net):
    """A weight file knows layers by name; of several with one name it holds the first."""
    names = [n.name for n in net.nodes if n.params]
    return len(names) == len(set(names))


def check_export(short, found):
    """What is written is read back to the same outputs, and the same numbers."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch)
        (path / "net.prototxt").write_text(to_prototxt(short))
        write_caffemodel(short, path / "net.caffemodel")
        again = graphc.load(path / "net.prototxt", path / "net.caffemodel")
    result = graphc.compile(again, target="reference", passes=()).run(feeds())
    names = blob_names(short)
    assert set(result) == {names[v] for v in short.outputs}
    for value in short.outputs:
        np.testing.assert_array_equal(result[names[value]], found[value.name], value.name)
