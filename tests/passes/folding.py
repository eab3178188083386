"""What folds, and what stays: checks that the tests of folding share."""

from passes.before_after import check
from passes.ir_text import feed, one

from graphc.passes.fold_batch_norm import FoldBatchNorm

X, Y = (2, 4, 5, 5), (2, 4, 3, 3)
IN = feed(*X)
END = one("TanH", "end", "z y", Y)
FOLD = FoldBatchNorm()


def folds(before, after, told, *pinned, **words):
    """The pass makes `after` of `before`, and says just `told`."""
    report = check(FOLD, before, after, *pinned, **words)
    assert report.detail == (told,)


def stays(text, told, *pinned, **words):
    """The pass changes nothing, and says `told` among others."""
    report = check(FOLD, text, text, *pinned, **words)
    assert any(told in line for line in report.detail), report.detail
