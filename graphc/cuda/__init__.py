"""What kernels a GPU runs for a kernel row: sources, launches and their geometry.

`work` knows kernels by the symbols and attributes that rows of the CPU have. Operands are plain;
packed ones are as they were before packing, but sparse weights several (see sparse.py).
Nothing here needs a GPU, or CUDA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.cuda import (
    elsewhere,
    expressions,
    images,
    losses,
    moving,
    normalizing,
    products,
    recurrent,
    regularizers,
    rows,
    sparse,
    sums,
)
from graphc.cuda.launch import Launch, Spec, Told, Work, refuse

_Maker = Callable[[str, Told, Sequence[Spec], Sequence[Spec]], Work]
_MAKERS: dict[str, _Maker] = {
    "accuracy": losses.accuracy,
    "arg_max": rows.arg_max,
    "batch_norm": normalizing.normalize,
    "batch_norm_global_gradient": normalizing.global_gradient,
    "batch_norm_gradient": normalizing.gradient,
    "batch_norm_normalize": normalizing.normalize,
    "batch_norm_slice_gradient": normalizing.slice_gradient,
    "batch_norm_slice_statistics": normalizing.statistics,
    "batch_norm_slice_sums": normalizing.slice_sums,
    "batch_norm_statistics": normalizing.statistics,
    "batch_norm_update": normalizing.update,
    "channel_sums": sums.channel_sums,
    "clip_factor": sums.clip_factor,
    "col2im": products.columns,
    "concat": moving.concat,
    "contrastive_loss": losses.contrastive_loss,
    "contrastive_loss_gradient": losses.contrastive_loss_gradient,
    "conv": products.convolution,
    "conv_compact": sparse.convolution,
    "conv_depthwise": products.convolution,
    "conv_dweight": products.weight_gradient,
    "conv_sparse": sparse.convolution,
    "copy": moving.copy,
    "crop": moving.crop,
    "crop_gradient": moving.crop_gradient,
    "deconv": products.deconvolution,
    "embed": rows.embed,
    "euclidean_loss": losses.euclidean_loss,
    "euclidean_loss_gradient": losses.euclidean_loss_gradient,
    "expr": expressions.expression,
    "expr_sum": expressions.expression_sum,
    "filter_gradient": rows.filter_gradient,
    "force": regularizers.force,
    "gather": rows.gather,
    "gather_gradient": rows.scatter_rows,
    "group_lasso": regularizers.group_lasso,
    "hinge_loss": losses.hinge_loss,
    "hinge_loss_gradient": losses.hinge_loss_gradient,
    "im2col": products.columns,
    "infogain_loss": losses.infogain_loss,
    "infogain_loss_gradient": losses.infogain_loss_gradient,
    "inner_product": products.inner_product,
    "inner_product_dweight": products.inner_product_dweight,
    "inner_product_dx": products.inner_product_dx,
    "inner_product_packed": products.inner_product,
    "inner_product_panels": sparse.product,
    "inner_product_sparse": sparse.product,
    "last_step": moving.last_step,
    "lrn_across": images.lrn,
    "lrn_across_gradient": images.lrn_across_gradient,
    "lrn_within": images.lrn,
    "lrn_within_gradient": images.lrn_within_gradient,
    "max_pool": images.pooling,
    "max_pool_gradient": images.pooling_gradient,
    "mean_pool": images.pooling,
    "mean_pool_gradient": images.pooling_gradient,
    "multinomial_logistic_loss": losses.multinomial_logistic_loss,
    "multinomial_logistic_loss_gradient": losses.multinomial_logistic_loss_gradient,
    "mvn": normalizing.mvn,
    "mvn_gradient": normalizing.mvn_gradient,
    "reduction": sums.reduction,
    "reshape": moving.reshape,
    "scatter_rows": rows.scatter_rows,
    "sigmoid_cross_entropy_loss": losses.sigmoid_cross_entropy_loss,
    "sigmoid_cross_entropy_loss_gradient": losses.sigmoid_cross_entropy_loss_gradient,
    "slice": moving.slice_,
    "softmax": normalizing.softmax,
    "softmax_gradient": normalizing.softmax,
    "softmax_with_loss": losses.softmax_with_loss,
    "softmax_with_loss_gradient": losses.softmax_with_loss_gradient,
    "tile": moving.tile,
    "tile_gradient": sums.tile_gradient,
    **recurrent.MAKERS,
}


STRIDED = frozenset({"concat", "copy", "crop", "crop_gradient", "slice", "tile"})
"""What takes operands of any strides."""
CHANNELS_LAST = frozenset(
    {
        *("accuracy", "softmax", "softmax_gradient"),
        *("batch_norm", "batch_norm_global_gradient", "batch_norm_gradient"),
        *("batch_norm_normalize", "batch_norm_slice_gradient", "batch_norm_slice_statistics"),
        *("batch_norm_slice_sums", "batch_norm_statistics", "channel_sums"),
        *("expr", "expr_sum"),
        *("infogain_loss", "infogain_loss_gradient"),
        *("lrn_across", "lrn_across_gradient", "lrn_within", "lrn_within_gradient"),
        *("max_pool", "max_pool_gradient", "mean_pool", "mean_pool_gradient"),
        *("softmax_with_loss", "softmax_with_loss_gradient"),
    }
)
"""What takes images with channels last in memory, too."""
LABELS = {
    "accuracy": 1,
    "infogain_loss": 1,
    "infogain_loss_gradient": 2,
    "softmax_with_loss": 1,
    "softmax_with_loss_gradient": 2,
}
"""Which operand of these is no image, but labels, one for each pixel, dense."""
EPILOGUES = ("relu", "residual", "scale")
"""What the CPU's kernels may be told to do after their own work, see graphc/ops/kernel.py."""


def symbols() -> tuple[str, ...]:
    """The kernels there are."""
    return tuple(_MAKERS)


def work(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """The launches that make `writes` of `reads`, both in the row's order; `told`: its attributes.
    Raises GC-A001 for a symbol or operands that no kernel is for."""
    if symbol not in _MAKERS:
        refuse(symbol, elsewhere.reason(symbol))
    for name in EPILOGUES:
        if told.get(name):
            refuse(symbol, f"it has no epilogue {name!r}")
    if symbol not in STRIDED | products.TAKE_ANY_ORDER:
        check(symbol, (*reads, *writes))
    return _MAKERS[symbol](symbol, told, reads, writes)


def check(symbol: str, specs: Sequence[Spec]) -> None:
    """Raise GC-A001 for operands that are not dense, but images with channels last where these are
    taken: then all operands must be so, or lie alike both ways."""
    last = symbol in CHANNELS_LAST and any(not spec.is_dense for spec in specs)
    for number, spec in enumerate(specs):
        is_last = last and number != LABELS.get(symbol)
        if not (spec.is_channels_last if is_last else spec.is_dense):
            beside = "beside others with channels last" if spec.is_dense else "not dense ones"
            refuse(symbol, f"operand {number} has strides {spec.steps}, {beside}")


__all__ = ["Launch", "Spec", "Work", "symbols", "work"]
