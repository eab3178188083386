"""Prove a layer declaration from its samples: what `graphc ops TYPE --check` runs.

    from graphc.check import check
    print(check(find("SoftGate")))

May import `ops`, `ir`, `errors`, `limits`.
"""

from graphc.check.report import CheckReport, check

__all__ = ["CheckReport", "check"]
