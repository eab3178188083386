"""peak_rss: the most memory this process has had."""

from __future__ import annotations

import sys
from contextlib import suppress


def peak_rss() -> int | None:
    """Bytes resident at the most so far; None where the system does not tell."""
    with suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    with suppress(ImportError):
        import resource  # where there is no /proc; on Linux it would start at the parent's peak

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
    return None


__all__ = ["peak_rss"]
