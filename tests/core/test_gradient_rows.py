"""Every kernel row of every gradient part of every sample, beside the float64 vjp; and which parts
have no kernel."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from core.gradient_rows import Backward, check
from core.rows import cased

from graphc.check.case import Case, cases, draw
from graphc.ops.convolution import Convolution
from graphc.ops.deconvolution import Deconvolution
from graphc.ops.embed import Embed
from graphc.ops.inner_product import InnerProduct

CASES = [case for case in cases() if case.grads]
OF_PRODUCTS = (Convolution, Deconvolution, InnerProduct, Embed)
"""Layers of which test_product_gradients.py runs the kernels."""
OTHERS = [case for case in CASES if case.op not in OF_PRODUCTS]
HOST: set[str] = {
    "Filter dx",
    "LSTM dW_hc",
    "LSTM dW_xc_static",
    "LSTM dc",
    "LSTM dh",
    "LSTM dsums",
    "LSTM dx_static",
    "RNN dW_hh",
    "RNN dW_xh_static",
    "RNN dh",
    "RNN dsums",
    "RNN dx_static",
}
"""Gradient parts that run by their reference, for some use at least."""


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.id)
def test_as_the_vjp_says(case: Case) -> None:
    check(Backward(cased(case), draw(case)), products=64)


def host_steps(cases: Iterable[Case]) -> set[str]:
    found = set()
    for case in cases:
        backward = Backward(cased(case), draw(case))
        parts = [part for part in backward.parts if part.view is None]
        missing = [part.part for part in parts if not backward.rows(part)]
        found |= {f"{case.op.type} {part.rstrip('0123456789')}" for part in missing}
    return found


def test_which_parts_are_still_host_steps() -> None:
    """The list may only become shorter."""
    assert host_steps(CASES) == HOST
