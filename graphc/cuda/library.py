"""Library: the cuDNN that a plan is made for: its version, its GPU, what it may do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Any

from graphc.config import Config
from graphc.costs import REMARK, read_times
from graphc.cuda import cublas, cudnn
from graphc.cuda.plans import TABLES, Plan, Product, table, tables_of
from graphc.records import record

GPU = "h200"
"""The GPU that plans are made for where there is none."""


@record(frozen=True)
class Library:
    """`version`: of cuDNN, "" for none: every product is then our own kernel's. `is_live`: plans
    that no table has are asked of the cuDNN that is installed. `tf32`: products of f32 may be
    rounded to TF32; `deterministic`: no plan whose bits may differ from run to run; `has_cublas`:
    cuBLASLt does matrix products. `times`: microseconds that `graphc tune --gpu` measured, by
    `time_key`. `remark`: what the user is to know of the choice, if anything."""

    gpu: str = GPU
    version: str = ""
    is_live: bool = False
    tf32: bool = False
    deterministic: bool = False
    has_cublas: bool = False
    times: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""

    def plans(self, product: Product) -> tuple[Plan, ...]:
        """The fastest first, by cuDNN's order."""
        if not self.version:
            return ()
        known = table(self.gpu, self.version, product.dtype)
        found = known.products.get(product.key) if known is not None else None
        if found is None and self.is_live:
            return _listed(product, self.gpu)
        return found or ()

    def measured(self, product: Product, plans: Sequence[Plan]) -> tuple[float, ...] | None:
        """Microseconds of plans of a product; None unless all of them are known."""
        found = [self.times.get(time_key(product, plan)) for plan in plans]
        return None if not found or None in found else tuple(us for us in found if us is not None)

    def microseconds(self, product: Product, is_tf32: bool) -> float:
        """A product's time by the roofline."""
        return self.roofline(product.dtype, product.macs, product.nbytes, is_tf32)

    def roofline(self, dtype: str, macs: int, nbytes: int, is_tf32: bool) -> float:
        """The longer of computing and of moving the operands, and what every launch takes, us."""
        flops = self.rate("tf32" if dtype == "f32" and is_tf32 else dtype)
        seconds = max(2 * macs / flops, nbytes / self.rate("bytes"))
        return self.rate("start_us") + 1e6 * seconds

    def rate(self, of: str) -> float:
        """FLOP/s by arithmetic, "bytes" per second, "start_us" of a launch."""
        return float(_rates(self.gpu)[of])


def library(*, runs: bool, deterministic: bool = False, gpu: str = GPU) -> Library:
    """The libraries there are, or, unless it `runs` here, the newest that there are tables of.

    Tables hold for one version of cuDNN. Where another one is installed, its plans are listed anew,
    and the first of its order that fits a budget is taken. GRAPHC_TF32 allows TF32.
    """
    here, known = cudnn.installed(), tables_of(gpu)
    remark = ""
    if here and known and here not in known:
        remark = (
            f"{REMARK}cuDNN {here} is installed, and the tables of plans are of "
            f"{' and '.join(known)}: they do not hold, and the first plan of its own order that "
            "fits is taken"
        )
    elif runs and not here:
        remark = f"{REMARK}there is no cuDNN, and convolutions run on slow kernels; {cudnn.INSTALL}"
    version = here if here or runs else next(iter(known), "")
    has_cublas = not runs or cublas.is_here()
    config = Config.load()
    times = read_times(times_file(gpu, version, config.cache))[0] if version else {}
    return Library(gpu, version, bool(here), config.tf32, deterministic, has_cublas, times, remark)


def times_file(gpu: str, version: str, cache: Path) -> Path:
    """Where measured times of a GPU with a version of cuDNN belong."""
    return cache / f"gpu-{gpu}-cudnn-{version}.json"


def time_key(product: Product, plan: Plan) -> str:
    """What a plan's time is called."""
    return f"{product.dtype} {product.key} | {plan.key}"


def key_of(name: str) -> str:
    """The folder of graphc/tables that a GPU's are in: "h200" of "NVIDIA H200"."""
    return name.removeprefix("NVIDIA ").lower().replace(" ", "-")


@cache
def _listed(product: Product, gpu: str) -> tuple[Plan, ...]:
    return cudnn.listed(product, gpu)


@cache
def _rates(gpu: str) -> dict[str, Any]:
    path = TABLES / gpu / "described.json"
    path = path if path.exists() else TABLES / GPU / "described.json"  # only ratios count
    told: dict[str, Any] = json.loads(path.read_bytes())["rates"]
    return told


__all__ = ["GPU", "Library", "key_of", "library", "time_key", "times_file"]
