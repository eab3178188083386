"""The decompositions by name."""

from __future__ import annotations

from graphc.factor.bilinear import Bilinear
from graphc.factor.cross_filter import KMeans, Pca, Svd
from graphc.factor.decomposition import Decomposition
from graphc.factor.decoupled import Decouple
from graphc.factor.depthwise import Cp, Jaderberg
from graphc.factor.separable import Tai
from graphc.factor.tucker import Tucker

METHODS: dict[str, type[Decomposition]] = {
    each.name: each for each in (Pca, Svd, KMeans, Tai, Tucker, Cp, Jaderberg, Decouple, Bilinear)
}

__all__ = ["METHODS"]
