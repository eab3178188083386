"""cuDNN graphs of the probe: convolutions and fused patterns, channels last, and their plans."""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from bench.probe import devices
from bench.probe.workload import Conv

Dims = Sequence[int]

# cuDNN names its own engines so; the frontend may add engines of its own, which are left out.
BACKEND = "eng"

# In cuDNN's long answer: an engine, then the first thing that it found wrong.
REFUSAL = re.compile(r'"engineId":(\d+)[^\n]*\n\s*\w+: CUDNN_STATUS_(\w+); Reason: ([^\n]*)')


def reasons(message: str) -> list[str]:
    """Why each engine refused a graph, one short line each; else the message's beginning."""
    found = [
        f"eng{number} {status}: {reason[:150]}"
        for number, status, reason in REFUSAL.findall(message)
    ]
    return found or [" ".join(message.split())[:300]]


def channels_last(dims: Dims) -> list[int]:
    """Strides in elements of a [n, c, h, w] tensor that is stored n, h, w, c."""
    _, c, h, w = dims
    return [c * h * w, 1, c * w, c]


@dataclass
class Sketch:
    """A cuDNN graph for a `handle`'s device or a described one, and the buffers it takes.

    Tensors have the element type `dtype` (a cuDNN data_type of 2 bytes) unless told otherwise;
    intermediate results and sums are float.
    """

    cudnn: Any
    dtype: Any
    handle: Any = None
    description: dict[str, Any] | None = None
    buffers: list[tuple[Any, bool]] = field(default_factory=list)  # tensor, is it an input
    scalars: list[tuple[Any, ctypes.c_float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        where: dict[str, Any] = {"handle": self.handle}
        if self.description is not None:
            where = {
                "device_property": devices.properties(self.cudnn, self.description),
                "sm_version": devices.version(self.description),
            }
        self.graph = self.cudnn.pygraph(
            io_data_type=self.dtype,
            intermediate_data_type=self.single,
            compute_data_type=self.single,
            **where,
        )

    @property
    def single(self) -> Any:
        return self.cudnn.data_type.FLOAT

    def input(self, name: str, dims: Dims, dtype: Any = None, stride: Dims | None = None) -> Any:
        tensor = self.graph.tensor(
            name=name,
            dim=list(dims),
            stride=list(stride or channels_last(dims)),
            data_type=dtype or self.dtype,
        )
        self.buffers.append((tensor, True))
        return tensor

    def channel(self, name: str, count: int) -> Any:
        """A float for each channel."""
        return self.input(name, (1, count, 1, 1), self.single, (count, 1, count, count))

    def scalar(self, name: str, value: float) -> Any:
        """A float that is read from the host when the graph runs."""
        one = (1, 1, 1, 1)
        tensor = self.graph.tensor(
            name=name, dim=one, stride=one, data_type=self.single, is_pass_by_value=True
        )
        self.scalars.append((tensor, ctypes.c_float(value)))
        return tensor

    def output(self, tensor: Any, dims: Dims | None = None, dtype: Any = None) -> Any:
        if dims is not None:
            tensor.set_dim(list(dims)).set_stride(channels_last(dims))
        tensor.set_output(True).set_data_type(dtype or self.dtype)
        self.buffers.append((tensor, False))
        return tensor

    def bytes(self, tensor: Any) -> int:
        """Bytes of a buffer; known for outputs once plans are listed."""
        item = 4 if tensor.get_data_type() == self.single else 2
        dims: list[int] = tensor.get_dim()
        return item * prod(dims)

    def pack(self, addresses: Sequence[int]) -> dict[Any, int]:
        """Tensor -> address, for addresses in the order of `buffers`; scalars are added."""
        tensors = [tensor for tensor, _ in self.buffers]
        on_host = {tensor: ctypes.addressof(value) for tensor, value in self.scalars}
        return dict(zip(tensors, addresses, strict=True)) | on_host


def convolution(sketch: Sketch, kind: str, conv: Conv, batch: int) -> Any:
    """fprop: x, w -> y. dgrad: dy, w -> dx. wgrad: x, dy -> dw. Buffers in that order."""
    x = (batch, conv.channels, conv.size, conv.size)
    w = (conv.filters, conv.channels // conv.groups, conv.kernel, conv.kernel)
    y = (batch, conv.filters, conv.out, conv.out)
    how = {"padding": [conv.pad] * 2, "stride": [conv.stride] * 2, "dilation": [1, 1]}
    graph = sketch.graph
    if kind == "fprop":
        made = graph.conv_fprop(sketch.input("x", x), sketch.input("w", w), **how)
        return sketch.output(made, y)
    if kind == "dgrad":
        dy, weight = sketch.input("dy", y), sketch.input("w", w)
        return sketch.output(graph.conv_dgrad(loss=dy, filter=weight, **how), x)
    image, dy = sketch.input("x", x), sketch.input("dy", y)
    return sketch.output(graph.conv_wgrad(image=image, loss=dy, **how), w)


@dataclass(frozen=True)
class Plan:
    """One way to run a graph: its place in cuDNN's order, its name, its workspace in bytes."""

    index: int
    name: str
    workspace: int
    build_ms: float


@dataclass
class Listing:
    """The plans of a graph: how many cuDNN names, those that build, why others do not."""

    named: int
    plans: list[Plan]
    refused: list[str]
    list_ms: float


def listing(
    sketch: Sketch,
    most: int | None = None,
    deterministic: bool = False,
    go_on: Callable[[], bool] = lambda: True,
) -> Listing:
    """List and build plans in cuDNN's order until `most` are built or `go_on` says no."""
    graph, cudnn = sketch.graph, sketch.cudnn
    began = time.perf_counter()
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    if deterministic:
        graph.deselect_numeric_notes([cudnn.numerical_note.NONDETERMINISTIC])
    graph.check_support()
    count = graph.get_execution_plan_count()
    found = Listing(count, [], [], (time.perf_counter() - began) * 1e3)
    for index in range(count):
        if len(found.plans) == most or not go_on():
            break
        began = time.perf_counter()
        try:
            name = graph.get_plan_name_at_index(index)
            if not name.startswith(BACKEND):
                continue
            graph.build_plan_at_index(index)
            space = int(graph.get_workspace_size_plan_at_index(index))
        except Exception as error:
            found.refused += reasons(str(error))
            continue
        spent = (time.perf_counter() - began) * 1e3
        found.plans.append(Plan(index, name, space, spent))
    return found


def list_plans(sketch: Sketch, most: int | None = None, deterministic: bool = False) -> list[Plan]:
    """The plans that build, in cuDNN's order."""
    return listing(sketch, most, deterministic).plans
