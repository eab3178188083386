"""low_rank at full rank, its undoing, and the exact passes, in random orders on random nets.

GRAPHC_FUZZ_CASES sets the number of orders (252).
"""

import os

import numpy as np
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st
from passes.random_nets import feeds, filled, nets
from passes.test_random_folds import CPU, REFERENCE, check_export, close, has_own_names

import graphc
from graphc.errors import GraphError
from graphc.passes.recipe import parse_spec
from graphc.passes.registry import DEFAULT

EXAMPLES = int(os.environ.get("GRAPHC_FUZZ_CASES") or 90) // 3
METHODS = ("pca", "svd", "kmeans", "tai", "mixed", "tucker", "decouple", "jaderberg")
FULL = [f"low_rank:method={m},error=0,when=always" for m in METHODS]
NAMES = [*FULL, "merge_low_rank", "prune_ranks:error=0", "merge_convolutions:when=always"]
REFUSALS = ("every layer is part of a decomposition", "no layer of this net is decomposed")


@st.composite
def orders(draw):
    """At least one decomposition, and what comes before and after."""
    others = st.lists(st.sampled_from([*NAMES, *DEFAULT]), max_size=3)
    return [*draw(others), draw(st.sampled_from(FULL)), *draw(others)]


@settings(max_examples=EXAMPLES)
@given(nets(), st.lists(orders(), min_size=3, max_size=3), st.sampled_from(["", "cpu", "export"]))
def test_values_survive(net, ways, more):
    text, blobs = net
    note(text)
    plain_net = filled(text)
    plain = graphc.compile(plain_net, target="reference", passes=(), keep="all").run(feeds())
    keep = blobs[:1]
    for order in ways:
        note(order)
        try:
            short, _ = graphc.optimize(
                plain_net, [parse_spec(each) for each in order], keep=keep, measure=False
            )
        except GraphError as error:
            assert any(told in error.message for told in REFUSALS), error
            continue
        found = graphc.compile(short, target="reference", passes=(), keep="all").run(feeds())
        assert list(found)[: len(plain_net.outputs)] == [v.name for v in plain_net.outputs]
        close(found, plain, REFERENCE, [name for name in found if name in plain])
        if more == "cpu":
            core = graphc.compile(short, target="cpu", passes=(), keep=keep).run(feeds())
            close(core, plain, CPU, core)
        elif more == "export" and has_own_names(short):
            check_export(short, found)


@settings(max_examples=EXAMPLES // 3)
@given(nets(), st.sampled_from(METHODS), st.integers(1, 3))
def test_any_cut_is_a_network(net, method, rank):
    """Whatever is lost, the graph is valid, and what a family stands for is what it computes."""
    text, _ = net
    note(text)
    plain = filled(text)
    spec = f"low_rank:method={method},speedup=1.2,round={rank},when=always"
    try:
        cut, _ = graphc.optimize(plain, [parse_spec(spec)], measure=False)
    except GraphError as error:
        assume("speeds it up" not in error.message)
        raise
    merged, _ = graphc.optimize(cut, [parse_spec("merge_low_rank")], measure=False)
    a, b = (graphc.compile(g, target="reference", passes=()).run(feeds()) for g in (cut, merged))
    for name, array in a.items():
        scale = max(1e-2, np.abs(array[np.isfinite(array)]).max(initial=0))
        np.testing.assert_allclose(b[name], array, rtol=0, atol=1e-4 * scale, err_msg=name)
