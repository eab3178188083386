"""Every kernel row of every gradient part of every sample, beside the float64 vjp; every part has
one."""

from __future__ import annotations

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


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.id)
def test_as_the_vjp_says(case: Case) -> None:
    check(Backward(cased(case), draw(case)), products=64)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_no_part_is_left_to_its_reference(case: Case) -> None:
    backward = Backward(cased(case), draw(case))
    parts = [part for part in backward.parts if part.view is None]
    assert [part.part for part in parts if not backward.rows(part)] == []
