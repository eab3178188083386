"""require: what a check uses in place of `assert`, so that `python -O` cannot switch it off."""

from __future__ import annotations


class CheckFailed(AssertionError):
    """A declaration does not hold what it says."""


def require(holds: object, message: str) -> None:
    """Raise CheckFailed with `message` unless `holds`."""
    if not holds:
        raise CheckFailed(message)
