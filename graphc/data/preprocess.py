"""Files the user names at run -> float32 arrays for the net's inputs; class names from a file.

An image: RGB or grey -> resized to the input's height and width (Pillow's bilinear, which smooths
when it shrinks) -> blue, green, red -> minus mean -> times scale -> (1, C, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from graphc.data.arrays import read_held
from graphc.data.files import read_bytes, read_lines
from graphc.errors import GraphError, fail
from graphc.floats import Floats, Held
from graphc.ir.graph import near
from graphc.limits import Limits
from graphc.numpy_later import np, npt
from graphc.records import record

Array: TypeAlias = "npt.NDArray[np.float32]"
Shapes = Mapping[str, tuple[int, ...]]
ARRAY_SUFFIXES = (".npy", ".npz")


@record(frozen=True, slots=True)
class Preprocess:
    """`mean`: none, one for all channels, one per channel, or an image (C, H, W) of the input's
    size; blue, green, red, whatever the order fed. `rgb`: feed red, green, blue."""

    mean: tuple[float, ...] | Array = ()
    scale: float = 1.0
    rgb: bool = False


def read_inputs(
    files: Sequence[str], shapes: Shapes, options: Preprocess, limits: Limits | None = None
) -> tuple[dict[str, Held], list[str]]:
    """Arrays by input name, and the file names of the samples that are images.

    `files`: "FILE" or "NAME=FILE". Images of one input are stacked to a batch in order; a .npz
    holds inputs by name; a .npy without batch axis gets one. Raises GC-R001 for what does not fit
    `shapes`, GC-F001, GC-D001, GC-L001, GC-U002 for the files.
    """
    bounds = limits or Limits()
    images: dict[str, list[Array]] = {}
    arrays: dict[str, Held] = {}
    names: list[str] = []
    for text in files:
        name, path = _split(text, shapes)
        if path.suffix.lower() in ARRAY_SUFFIXES:
            for target, array in _named_arrays(name, path, shapes, bounds).items():
                if target in arrays:
                    fail("GC-R001", f"input {target!r} is given twice", "one array per input")
                arrays[target] = array
        else:
            target = name or _image_input(shapes, path)
            images.setdefault(target, []).append(read_image(path, shapes[target], options, bounds))
            names.append(str(path))
    for target, stack in images.items():
        if target in arrays:
            fail("GC-R001", f"input {target!r} is given as an array and as images")
        arrays[target] = np.concatenate(stack)
    return arrays, names


def read_image(path: Path, shape: tuple[int, ...], options: Preprocess, limits: Limits) -> Array:
    """One image as (1, C, H, W) for an input of `shape`, (N, 1 or 3, H, W). Raises as above."""
    if len(shape) != 4 or shape[1] not in (1, 3) or min(shape[2:]) < 1:
        fail(
            "GC-R001",
            f"{str(path)!r} is an image, but the input has shape {shape}",
            "images fit inputs of 1 or 3 channels; give other inputs as .npy",
        )
    from graphc.data.images import decode_image

    _, channels, height, width = shape
    mean = _mean_for(options, shape[1:])
    limits.check("image_pixels", height * width, f"an input of {height} x {width} pixels")
    data = read_bytes(path, limits)
    try:
        planes = decode_image(data, "gray" if channels == 1 else "color", limits)
    except GraphError as error:
        raise GraphError(error.code, f"{str(path)!r}: {error.message}", error.hint) from None
    y = _resized(planes, height, width).astype(np.float32)
    if options.rgb:
        y = y[::-1]
    with np.errstate(over="ignore", invalid="ignore"):
        y -= mean
        return np.ascontiguousarray(y * np.float32(options.scale))[None]


def _mean_for(options: Preprocess, shape: tuple[int, ...]) -> Array:
    """What is subtracted from an image of `shape` (C, H, W), in the order fed. Raises GC-R001."""
    mean: Array = np.asarray(options.mean, np.float64).astype(np.float32)
    if mean.ndim == 3 and mean.shape != shape:
        means = ",".join(f"{m:.6g}" for m in mean.mean((1, 2)))
        told = f"the mean image has shape {mean.shape}, the input {shape}"
        fail("GC-R001", told, f"give the means of its channels: --mean {means}")
    if mean.ndim == 1 and len(mean) not in (0, 1, shape[0]):
        fail("GC-R001", f"{len(mean)} means for {shape[0]} channels", "give one, or one each")
    if mean.ndim == 1:
        mean = mean[:, None, None] if len(mean) else np.zeros((1, 1, 1), np.float32)
    return mean[::-1] if options.rgb else mean


def read_labels(path: Path, limits: Limits | None = None) -> list[str]:
    """Class names, one per line: as they stand, less quotes around them (synset words).

    Blank lines at the end are dropped, others are classes without a name. Raises GC-F001, GC-L001.
    """
    lines = [line.strip() for line in read_lines(path, limits or Limits())]
    while lines and not lines[-1]:
        lines.pop()
    quoted = [len(x) > 1 and x[0] == x[-1] and x[0] in "'\"" for x in lines]
    return [x[1:-1] if q else x for x, q in zip(lines, quoted, strict=True)]


def _split(text: str, shapes: Shapes) -> tuple[str, Path]:
    """Input name ("" if none is said) and file of one argument."""
    name, equals, path = text.partition("=")
    if equals and name in shapes:
        return name, Path(path)
    if equals and not Path(text).exists():
        fail("GC-R001", f"{name!r} in {text!r} is no input of this net", near(name, shapes))
    return "", Path(text)


def _image_input(shapes: Shapes, path: Path) -> str:
    """The one input that an image fits."""
    fitting = [n for n, s in shapes.items() if len(s) == 4 and s[1] in (1, 3)]
    if len(fitting) != 1:
        told = ", ".join(f"{n} {s}" for n, s in shapes.items()) or "none"
        fail(
            "GC-R001",
            f"{str(path)!r}: {len(fitting)} inputs can take an image; the net's inputs: {told}",
            f"write NAME={path}" if fitting else "give other inputs as .npy or .npz",
        )
    return fitting[0]


def _named_arrays(name: str, path: Path, shapes: Shapes, limits: Limits) -> dict[str, Held]:
    """The arrays of a .npy or .npz file by input."""
    found = read_held(path, limits)
    if list(found) == [""] or (name and len(found) == 1):
        (array,) = found.values()
        if not name and len(shapes) != 1:
            fail(
                "GC-R001",
                f"{str(path)!r} has no name, and the net has inputs {list(shapes)}",
                f"write NAME={path}",
            )
        found = {name or next(iter(shapes)): array}
    elif name:
        if name not in found:
            fail("GC-R001", f"{str(path)!r} has no array {name!r}", near(name, found))
        found = {name: found[name]}
    for key in found:
        if key not in shapes:
            fail("GC-R001", f"{str(path)!r}: {key!r} is no input of this net", near(key, shapes))
    return {key: _with_batch_axis(array, key, shapes[key]) for key, array in found.items()}


def _with_batch_axis(array: Held, name: str, shape: tuple[int, ...]) -> Held:
    if array.ndim == len(shape) - 1:
        plain = Floats.of(array)
        array = Floats(plain.numbers, (1, *plain.shape))
    if array.ndim != len(shape):
        fail("GC-R001", f"input {name!r} is given with shape {array.shape}, expected {shape}")
    return array


def _resized(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """(C, H, W) uint8 at another size, by Pillow."""
    from graphc.data.images import pillow

    module = pillow()
    pixels = planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)
    image = module.fromarray(np.ascontiguousarray(pixels))
    out = np.asarray(image.resize((width, height), module.Resampling.BILINEAR), np.uint8)
    return out[None] if out.ndim == 2 else out.transpose(2, 0, 1)
