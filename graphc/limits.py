"""What an untrusted file may cost: counted before the work is done, never timed.

Reads nothing but `graphc.errors`. `Limits()` is the profile for files the user named;
`Limits.strict()` is the one for files of unknown origin.
"""

from __future__ import annotations

from pathlib import Path

from graphc.errors import fail
from graphc.records import record

MIB = 1 << 20
GIB = 1 << 30


@record(frozen=True, slots=True)
class Limits:
    """Upper bounds on one import. `*_bytes` in bytes, others are counts.

    `confined`: paths inside a prototxt must stay below its folder.
    """

    text_bytes: int = 256 * MIB
    text_tokens: int = 20_000_000
    text_depth: int = 32
    binary_bytes: int = (1 << 31) - 1
    binary_fields: int = 20_000_000
    layers: int = 100_000
    layer_blobs: int = 4_096
    tensor_bytes: int = 64 * GIB
    image_pixels: int = 256 * MIB
    confined: bool = False

    @staticmethod
    def strict() -> Limits:
        """Bounds that keep an import below 256 MiB over the file's size."""
        return Limits(
            text_bytes=16 * MIB,
            text_tokens=250_000,
            binary_bytes=GIB,
            binary_fields=1_000_000,
            layers=20_000,
            layer_blobs=1_024,
            tensor_bytes=4 * GIB,
            image_pixels=64 * MIB,
            confined=True,
        )

    @staticmethod
    def of(strict: bool) -> Limits:
        """Those of --strict, or the ordinary ones."""
        return Limits.strict() if strict else Limits()

    def check(self, name: str, value: int, what: str) -> None:
        """Raise GC-L001 if `value` exceeds the limit called `name`; `what` names the thing."""
        bound: int = getattr(self, name)
        if value > bound:
            fail(
                "GC-L001",
                f"{what} is {value:,}, over the limit {name} = {bound:,}",
                f"pass Limits({name}=...) or drop --strict if you trust the file",
            )

    def resolve(self, path: str, base: Path | None, *, must_exist: bool = True) -> Path:
        """Find `path` from the current folder, then from `base` (the naming file's folder).

        With `must_exist=False` the first candidate is returned. Raises GC-F001 if neither exists
        and GC-F003 if the limits are confined and `path` would leave `base`.
        """
        if not path or "\0" in path:
            fail("GC-F001", f"{path!r} is not a path")
        here = Path(path)
        if self.confined:
            if here.is_absolute() or ".." in here.parts:
                fail("GC-F003", f"path {path!r} is absolute or climbs out", "drop --strict")
            root = (base or Path()).resolve()
            inside = (root / here).resolve()
            if not inside.is_relative_to(root):
                fail("GC-F003", f"path {path!r} leads out of {str(base or '.')!r}", "drop --strict")
            candidates = [inside]
        else:
            candidates = [here] if here.is_absolute() or base is None else [here, base / here]
        if not must_exist:
            return candidates[0]
        for candidate in candidates:
            try:
                if candidate.exists():
                    return candidate
            except OSError:
                continue
        tried = list(dict.fromkeys(repr(str(c)) for c in candidates))
        told = f" (tried {', '.join(tried)})" if len(tried) > 1 else ""
        fail("GC-F001", f"no such file: {path!r}{told}")
