"""graphc compiles Caffe-style prototxt networks and runs and trains them.

    net = graphc.load("deploy.prototxt", "net.caffemodel")
    exe = graphc.compile(net)
    out = exe.run({"data": x})

Names are imported on first use, so that running an artefact needs neither protobuf nor passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphc.benchmark import bench
    from graphc.channels import channel_groups
    from graphc.comparison import compare
    from graphc.data.conversion import convert_data
    from graphc.data.summary import describe_data, mean_image
    from graphc.demonstration.demo import demo
    from graphc.driver import compile, load, open, optimize
    from graphc.errors import GraphError
    from graphc.exporting import export
    from graphc.gpu_tuning import tune_gpu
    from graphc.gradient_check import check_grad
    from graphc.ir.graph import Graph
    from graphc.layer_sensitivity import sensitivity
    from graphc.limits import Limits
    from graphc.memory import largest_batch, lowered, plan, sweep_batches, sweep_memory
    from graphc.passes.base import Pass, Report
    from graphc.runtime.executable import Executable
    from graphc.train.checkpoint.narrowing import narrow_snapshot
    from graphc.train.checkpoint.rank_pruning import prune_snapshot
    from graphc.train.solver import Solver
    from graphc.tuning import tune

_HOME = {
    "Executable": "graphc.runtime.executable",
    "Graph": "graphc.ir.graph",
    "GraphError": "graphc.errors",
    "Limits": "graphc.limits",
    "Pass": "graphc.passes.base",
    "Report": "graphc.passes.base",
    "Solver": "graphc.train.solver",
    "bench": "graphc.benchmark",
    "channel_groups": "graphc.channels",
    "check_grad": "graphc.gradient_check",
    "compare": "graphc.comparison",
    "compile": "graphc.driver",
    "convert_data": "graphc.data.conversion",
    "describe_data": "graphc.data.summary",
    "demo": "graphc.demonstration.demo",
    "export": "graphc.exporting",
    "largest_batch": "graphc.memory",
    "load": "graphc.driver",
    "lowered": "graphc.memory",
    "mean_image": "graphc.data.summary",
    "narrow_snapshot": "graphc.train.checkpoint.narrowing",
    "open": "graphc.driver",
    "optimize": "graphc.driver",
    "plan": "graphc.memory",
    "prune_snapshot": "graphc.train.checkpoint.rank_pruning",
    "sensitivity": "graphc.layer_sensitivity",
    "sweep_batches": "graphc.memory",
    "sweep_memory": "graphc.memory",
    "tune": "graphc.tuning",
    "tune_gpu": "graphc.gpu_tuning",
}

__version__ = "0.1.0"
__all__ = [
    "Executable",
    "Graph",
    "GraphError",
    "Limits",
    "Pass",
    "Report",
    "Solver",
    "bench",
    "channel_groups",
    "check_grad",
    "compare",
    "compile",
    "convert_data",
    "demo",
    "describe_data",
    "export",
    "largest_batch",
    "load",
    "lowered",
    "mean_image",
    "narrow_snapshot",
    "open",
    "optimize",
    "plan",
    "prune_snapshot",
    "sensitivity",
    "sweep_batches",
    "sweep_memory",
    "tune",
    "tune_gpu",
]


# libgomp's own 300,000 rounds (over 10 ms) starve whoever else wants the processor, other networks
# included; 1,000 bridge the gap between two kernels.
_SPIN = ("GOMP_SPINCOUNT", "1000")


def _load_core() -> Any:
    """The C++ core. Its OpenMP library reads how long waiting threads spin when it is loaded, from
    the environment, which is then as it was."""
    import importlib
    import os

    name, value = _SPIN
    is_ours = not {name, "OMP_WAIT_POLICY"} & os.environ.keys()
    if is_ours:
        os.environ[name] = value
    try:
        return importlib.import_module("graphc._core")
    finally:
        if is_ours:
            del os.environ[name]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "_core":
        return _load_core()
    if name == "ops":  # graphc.ops.registry.load_file, after `import graphc` alone
        importlib.import_module("graphc.ops.registry")
        return importlib.import_module("graphc.ops")
    if name not in _HOME:
        raise AttributeError(f"module 'graphc' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
