"""cuDNN, by its Python frontend: plans of a product, for a described GPU or a real one; runs them.

Nothing is imported before it is asked for. Plans are listed without a GPU or a driver, for a GPU
that is described as cuDNN wants it (a JSON in graphc/tables).
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Any

from graphc.cuda.plans import LAYOUTS, TABLES, Plan, Product
from graphc.cuda.shared import load
from graphc.errors import fail

FRONTEND, PACKAGE = "nvidia-cudnn-frontend", "nvidia-cudnn-cu13"
INSTALL = "pip install 'graphc[gpu]'"
KNOBS = (
    "SPLIT_K",
    "SWIZZLE",
    "TILE_SIZE",
    "USE_TEX",
    "EDGE",
    "KBLOCK",
    "LDGA",
    "LDGB",
    "CHUNK_K",
    "SPLIT_H",
    "WINO_TILE",
    "MULTIPLY",
    "SPLIT_K_BUF",
    "TILEK",
    "STAGES",
    "REDUCTION_MODE",
    "CTA_SPLIT_K_MODE",
    "SPLIT_K_SLC",
    "IDX_MODE",
    "SLICED",
    "SPLIT_RS",
    "SINGLEBUFFER",
    "LDGC",
    "SPECFILT",
    "KERNEL_CFG",
    "WORKSPACE",
    "TILE_CGA",
    "TILE_CGA_M",
    "TILE_CGA_N",
    "BLOCK_SIZE",
    "OCCUPANCY",
    "ARRAY_SIZE_PER_THREAD",
    "NUM_C_PER_BLOCK",
    "SPLIT_COLS",
    "TILE_ROWS",
    "TILE_COLS",
    "LOAD_SIZE",
    "CTA_COUNT",
    "STREAM_K",
    "SPLIT_P_SLC",
    "TILE_M",
    "TILE_N",
    "WARP_SPEC_CFG",
    "SWAP_AB",
)
"""cudnnBackendKnobType_t of cudnn_graph.h, from 0. The frontend's own enumeration lacks those that
are deprecated, which cuDNN still tells plans apart by."""
RANDOM, CORES = "NONDETERMINISTIC", "TENSOR_CORE"


def installed() -> str:
    """Version of the cuDNN wheel and its frontend, "9.19.0"; "" where one of them is missing."""
    try:
        version_of(FRONTEND)
    except PackageNotFoundError:
        return ""
    return wheel()


def wheel() -> str:
    """Version of the cuDNN wheel; "" for none."""
    try:
        return ".".join(version_of(PACKAGE).split(".")[:3])
    except PackageNotFoundError:
        return ""


@cache
def frontend() -> Any:
    """The module. Raises GC-X001 where it is missing, or finds no cuDNN."""
    load("cublasLt")  # which cuDNN looks for by its name, not where the wheel puts it
    try:
        module = importlib.import_module("cudnn")
        module.backend_version_string()
    except ImportError as error:
        fail("GC-X001", f"cuDNN's Python frontend cannot be imported: {error}", INSTALL)
    except Exception as error:  # the frontend's own, where it finds no library
        fail("GC-X001", f"cuDNN's frontend finds no cuDNN: {error}", INSTALL)
    return module


def version() -> str:
    """Of the cuDNN that is loaded, "9.19.0". Raises GC-X001 without one."""
    return str(frontend().backend_version_string())


@cache
def description(gpu: str) -> dict[str, Any]:
    """The properties of a GPU as cuDNN wants them: of graphc/tables, else of the first GPU here."""
    path = TABLES / gpu / "described.json"
    if not path.exists():
        here: dict[str, Any] = json.loads(frontend().create_device_properties(0).serialize())
        return here
    told: dict[str, Any] = json.loads(path.read_bytes())["device"]
    return told


def key_of(name: str) -> str:
    """cuDNN's name of a plan with its knobs by name: "eng68_k2=5_k13=0" -> "eng68 TILE_SIZE=5
    TILEK=0"."""
    engine, *knobs = name.split("_")
    found = [engine]
    for knob in knobs:
        number, _, value = knob[1:].partition("=")
        place = int(number)
        found.append(f"{KNOBS[place] if place < len(KNOBS) else f'KNOB{place}'}={value}")
    return " ".join(found)


class Graph:
    """A product as cuDNN's graph, for the GPU that is described or that a handle belongs to.
    `operands`: its tensors, reads first, in the order of our kernel rows."""

    def __init__(self, product: Product, gpu: str = "", handle: Any = None) -> None:
        self.cudnn, self.product = frontend(), product
        kinds = self.cudnn.data_type
        kind = {"f32": kinds.FLOAT, "f16": kinds.HALF, "bf16": kinds.BFLOAT16}[product.dtype]
        told: dict[str, Any] = {"handle": handle}
        if gpu:
            described = description(gpu)
            properties = self.cudnn.create_device_properties(json.dumps(described))
            told = {"device_property": properties, "sm_version": described["deviceVer"] // 10}
        self.graph = self.cudnn.pygraph(
            io_data_type=kind,
            intermediate_data_type=kinds.FLOAT,
            compute_data_type=kinds.FLOAT,
            **told,
        )
        self.operands = self._build(product, kind)

    def _build(self, product: Product, kind: Any) -> tuple[Any, ...]:
        graph = self.graph
        windows = zip(("padding", "stride", "dilation"), _windows(product), strict=True)
        how = {name: [*numbers] for name, numbers in windows}
        if product.direction == "fprop":
            x, w = self._tensor("x", product.x), self._tensor("w", product.w)
            made, reads = graph.conv_fprop(x, w, **how), [x, w]
            if product.bias:
                channels = product.y[1]
                line = [channels, 1, 1, 1]
                reads.append(graph.tensor(name="bias", dim=[1, channels, 1, 1], stride=line))
                made = graph.bias(name="sum", input=made, bias=reads[-1])
            shape = product.y
        elif product.direction == "dgrad":
            reads = [self._tensor("dy", product.y), self._tensor("w", product.w)]
            made, shape = graph.conv_dgrad(loss=reads[0], filter=reads[1], **how), product.x
        else:
            reads = [self._tensor("dy", product.y), self._tensor("x", product.x)]
            made, shape = graph.conv_wgrad(image=reads[1], loss=reads[0], **how), product.w
        made.set_dim([*shape]).set_stride(strides(shape, product.dtype))
        made.set_output(True).set_data_type(kind)
        return (*reads, made)

    def _tensor(self, name: str, shape: Sequence[int]) -> Any:
        stride = strides(shape, self.product.dtype)
        return self.graph.tensor(name=name, dim=[*shape], stride=stride)

    def plans(self, without: Sequence[str] = ()) -> list[tuple[int, str, int]]:
        """(place, key, workspace) of cuDNN's plans that can be built, the fastest first by its own
        order; `without`: numeric notes that none of them may have."""
        graph, found = self.graph, []
        for place, name in self._named(without):
            try:
                graph.build_plan_at_index(place)
            except Exception:  # deselected, or not for these operands
                continue
            space = graph.get_workspace_size_plan_at_index(place)
            found.append((place, key_of(name), int(space)))
        return found

    def built(self, key: str) -> int | None:
        """The place of the plan with a key, built; None where cuDNN has none such."""
        for place, name in self._named(()):
            if key_of(name) == key:
                self.graph.build_plan_at_index(place)
                return place
        return None

    def _named(self, without: Sequence[str]) -> list[tuple[int, str]]:
        """(place, name) of all plans in cuDNN's order, whether they can be built or not."""
        graph, cudnn = self.graph, self.cudnn
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        if without:
            notes = [getattr(cudnn.numerical_note, name) for name in without]
            graph.deselect_numeric_notes(notes)
        graph.check_support()
        names = map(graph.get_plan_name_at_index, range(graph.get_execution_plan_count()))
        # names that begin otherwise are the frontend's own, which need a device
        return [(place, name) for place, name in enumerate(names) if name.startswith("eng")]


def strides(shape: Sequence[int], dtype: str) -> list[int]:
    """In elements, of an image (N, C, H, W) as its element type lies."""
    _, c, h, w = shape
    return [c * h * w, h * w, w, 1] if LAYOUTS[dtype] == "nchw" else [c * h * w, 1, c * w, c]


def _windows(product: Product) -> Iterable[tuple[int, ...]]:
    return product.pad, product.stride, product.dilation


def listed(product: Product, gpu: str) -> tuple[Plan, ...]:
    """All plans of the cuDNN that is installed, for a described GPU, the fastest first by cuDNN's
    own order; () for a product that it has none for. Raises GC-X001 without cuDNN."""
    frontend()
    try:
        every = Graph(product, gpu).plans()
    except Exception:  # cuDNN's own: not supported
        return ()
    fixed, exact = _without(product, gpu, RANDOM), {key for _, key, _ in every}
    if product.dtype == "f32":
        exact = _without(product, gpu, CORES)
    found = (Plan(key, space, key in fixed, key not in exact) for _, key, space in every)
    return tuple(dict.fromkeys(found))


def _without(product: Product, gpu: str, note: str) -> set[str]:
    """Keys of the plans that lack a note."""
    try:
        return {key for _, key, _ in Graph(product, gpu).plans([note])}
    except Exception:  # every plan has it
        return set()


__all__ = ["Graph", "frontend", "installed", "key_of", "listed", "strides", "version"]
