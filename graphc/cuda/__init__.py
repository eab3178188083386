"""What kernels a GPU runs for a kernel row: sources, launches and their geometry.

`work` knows kernels by the symbols and attributes that rows of the CPU have. Operands are dense and
plain; packed ones are as they were before packing, but sparse weights several (see sparse.py).
Nothing here needs a GPU, or CUDA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.cuda import expressions, images, moving, normalizing, products, sparse
from graphc.cuda.launch import Launch, Spec, Told, Work, refuse

_Maker = Callable[[str, Told, Sequence[Spec], Sequence[Spec]], Work]
_MAKERS: dict[str, _Maker] = {
    "accuracy": normalizing.accuracy,
    "batch_norm": normalizing.normalize,
    "batch_norm_global_gradient": normalizing.global_gradient,
    "batch_norm_gradient": normalizing.gradient,
    "batch_norm_normalize": normalizing.normalize,
    "batch_norm_statistics": normalizing.statistics,
    "batch_norm_update": normalizing.update,
    "channel_sums": moving.channel_sums,
    "concat": moving.concat,
    "conv": products.convolution,
    "conv_depthwise": products.convolution,
    "conv_dweight": products.weight_gradient,
    "conv_sparse": sparse.convolution,
    "copy": moving.copy,
    "deconv": products.deconvolution,
    "expr": expressions.expression,
    "expr_sum": expressions.expression_sum,
    "inner_product": products.inner_product,
    "inner_product_dweight": products.inner_product_dweight,
    "inner_product_dx": products.inner_product_dx,
    "inner_product_packed": products.inner_product,
    "inner_product_sparse": sparse.product,
    "lrn_across": images.lrn,
    "lrn_across_gradient": images.lrn_across_gradient,
    "lrn_within": images.lrn,
    "lrn_within_gradient": images.lrn_within_gradient,
    "max_pool": images.pooling,
    "max_pool_gradient": images.pooling_gradient,
    "mean_pool": images.pooling,
    "mean_pool_gradient": images.pooling_gradient,
    "slice": moving.slice_,
    "softmax": normalizing.softmax,
    "softmax_gradient": normalizing.softmax,
    "softmax_with_loss": normalizing.softmax_with_loss,
    "softmax_with_loss_gradient": normalizing.softmax_with_loss_gradient,
}


def symbols() -> tuple[str, ...]:
    """The kernels there are."""
    return tuple(_MAKERS)


def work(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """The launches that make `writes` of `reads`, both in the row's order; `told`: its attributes.
    Raises GC-A001 for a symbol or operands that no kernel is for."""
    if symbol not in _MAKERS:
        refuse(symbol, "there is none")
    return _MAKERS[symbol](symbol, told, reads, writes)


__all__ = ["Launch", "Spec", "Work", "symbols", "work"]
