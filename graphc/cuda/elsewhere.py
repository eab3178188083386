"""reason: why the CPU has a kernel that a GPU has none for."""

from __future__ import annotations

_LAYOUT = "its operands are laid out for vectors of a CPU"
_LIBRARY = "it is oneDNN's, for a CPU"
_PACK = "weights are not packed for a GPU"
_WINOGRAD = "which algorithm does a dense convolution is its library's choice"
_FUSED = "what it saves, passes over memory, is a gradient's and an update's own calls here"
_REASONS = {
    **dict.fromkeys(("block", "unblock"), _LAYOUT),
    "inner_product_sgd": _FUSED,
    "sgd": "the update's expression is the kernel",
}
_ENDINGS = {"_blocked": _LAYOUT, "_pack": _PACK}
_STARTS = {"dnnl_": _LIBRARY, "conv_winograd": _WINOGRAD}


def reason(symbol: str) -> str:
    """Of a kernel of the CPU; for any other symbol, that there is none."""
    found = [why for end, why in _ENDINGS.items() if symbol.endswith(end)]
    found += [why for start, why in _STARTS.items() if symbol.startswith(start)]
    return _REASONS.get(symbol, next(iter(found), NONE))


NONE = "there is none"

__all__ = ["NONE", "reason"]
