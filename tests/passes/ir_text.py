"""Nets in the IR's text form, one short call per layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Shape = tuple[int, ...]


def net(*layers: str, outputs: str = "y", phase: str = "TEST") -> str:
    """A net with the outputs named, separated by spaces."""
    told = "".join(f'output "{name}"\n' for name in outputs.split())
    return f'net "n" phase={phase}\n' + "".join(layers) + told


def node(
    type_: str,
    name: str,
    ins: Mapping[str, str],
    outs: Mapping[str, tuple[str, Shape]],
    params: Mapping[str, tuple[Shape, str]] | None = None,
    attrs: Mapping[str, Any] | None = None,
    more: str = "",
    header: str = "",
) -> str:
    """A layer: `ins` role -> value, `outs` role -> (value, shape), `params` role -> (shape, rest);
    `more`: whole lines."""
    lines = [f'layer "{name}" {type_} {header}'.rstrip()]
    lines += [f"attr {key}={value}" for key, value in (attrs or {}).items()]
    lines += [f'in {role} "{value}"' for role, value in ins.items()]
    for role, (shape, rest) in (params or {}).items():
        lines.append(f'param {role} "{name}:{role}" {_type(shape)} {rest}'.rstrip())
    lines += [f'top {role} "{value}" {_type(shape)}' for role, (value, shape) in outs.items()]
    return "\n  ".join([*lines, *filter(None, [more])]) + "\n"


def _type(shape: Shape) -> str:
    return f"f32[{','.join(map(str, shape))}]"


def feed(*shape: int, name: str = "data", layer: str = "in") -> str:
    dims = ", ".join(map(str, shape)) + ")" if len(shape) > 1 else f"{shape[0]})"
    attrs = {"shape": f"(BlobShape(dim=({dims}))"}
    return node("Input", layer, {}, {"y0": (name, shape)}, None, attrs)


def conv(
    name: str,
    ends: str,
    x: Shape,
    outputs: int,
    kernel: int = 3,
    bias: bool = True,
    pad: int = 0,
    group: int = 1,
    transposed: bool = False,
    more: str = "",
    header: str = "",
) -> str:
    """A Convolution (or Deconvolution) of stride 1; `ends`: bottom and top, with a space."""
    bottom, top = ends.split()
    weight: Shape = (outputs, x[1] // group, kernel, kernel)
    axes = "out_axis=0 in_axis=1"
    if transposed:
        weight, axes = (x[1], outputs // group, kernel, kernel), "out_axis=1 in_axis=0"
    grow = kernel - 1 - 2 * pad if transposed else 2 * pad - kernel + 1
    y = (x[0], outputs, x[2] + grow, x[3] + grow)
    attrs: dict[str, Any] = {"num_output": outputs}
    attrs |= {} if bias else {"bias_term": "false"}
    attrs |= {"pad": f"({pad})"} if pad else {}
    attrs |= {"kernel_size": f"({kernel})"}
    attrs |= {"group": group} if group != 1 else {}
    params = {"weight": (weight, axes)} | ({"bias": ((outputs,), "out_axis=0")} if bias else {})
    type_ = "Deconvolution" if transposed else "Convolution"
    return node(type_, name, {"x0": bottom}, {"y0": (top, y)}, params, attrs, more, header)


def fc(
    name: str,
    ends: str,
    x: Shape,
    outputs: int,
    bias: bool = True,
    axis: int = 1,
    transpose: bool = False,
    more: str = "",
) -> str:
    bottom, top = ends.split()
    count = 1
    for extent in x[axis:]:
        count *= extent
    weight, axes = ((outputs, count), "out_axis=0 in_axis=1")
    if transpose:
        weight, axes = (count, outputs), "out_axis=1 in_axis=0"
    attrs: dict[str, Any] = {"num_output": outputs}
    attrs |= {} if bias else {"bias_term": "false"}
    attrs |= {"axis": axis} if axis != 1 else {}
    attrs |= {"transpose": "true"} if transpose else {}
    params = {"weight": (weight, axes)} | ({"bias": ((outputs,), "out_axis=0")} if bias else {})
    y = (*x[:axis], outputs)
    return node("InnerProduct", name, {"x": bottom}, {"y": (top, y)}, params, attrs, more)


def norm(
    name: str, ends: str, x: Shape, attrs: Any = None, more: str = "", header: str = ""
) -> str:
    bottom, top = ends.split()
    rows = ((x[1] if len(x) > 1 else 1,), "kind=STATE out_axis=0")
    params = {"mean": rows, "variance": rows, "factor": ((1,), "kind=STATE")}
    return node("BatchNorm", name, {"x": bottom}, {"y": (top, x)}, params, attrs, more, header)


def scale(
    name: str,
    ends: str,
    x: Shape,
    axis: int = 1,
    axes: int = 1,
    bias: bool = False,
    more: str = "",
    header: str = "",
) -> str:
    """A Scale with coefficients of its own."""
    bottom, top = ends.split()
    shape = x[axis : axis + axes]
    channel = f" out_axis={1 - axis}" if axis <= 1 < axis + axes else ""
    attrs: dict[str, Any] = {"axis": axis} if axis != 1 else {}
    attrs |= {"num_axes": axes} if axes != 1 else {}
    attrs |= {"bias_term": "true"} if bias else {}
    params = {"weight": (shape, f"filler=Filler(value=1.0){channel}")}
    params |= {"bias": (shape, channel.strip())} if bias else {}
    return node("Scale", name, {"x": bottom}, {"y": (top, x)}, params, attrs, more, header)


def bias(name: str, ends: str, x: Shape, axis: int = 1, axes: int = 1) -> str:
    bottom, top = ends.split()
    channel = f"out_axis={1 - axis}" if axis <= 1 < axis + axes else ""
    attrs: dict[str, Any] = {"axis": axis} if axis != 1 else {}
    attrs |= {"num_axes": axes} if axes != 1 else {}
    params = {"bias": (x[axis : axis + axes], channel)}
    return node("Bias", name, {"x": bottom}, {"y": (top, x)}, params, attrs)


def one(
    type_: str, name: str, ends: str, x: Shape, header: str = "", more: str = "", **attrs: Any
) -> str:
    """A layer with one bottom x and one top y of the same shape."""
    bottom, top = ends.split()
    return node(type_, name, {"x": bottom}, {"y": (top, x)}, None, attrs, more, header)
