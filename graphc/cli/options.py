"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from graphc.cli.declared import at_least, decorated, one_of, option
from graphc.errors import fail

F = TypeVar("F", bound=Callable[..., Any])

# What a prototxt can be asked for, and an artefact, which was compiled with it, cannot.
FIXED = ("weights", "phase", "level", "stages", "dialect", "seed", "strict_weights", "set", "mbs")


def _setting() -> Any:
    """click's type of a field's path, and what the field is to be."""
    import click

    class Setting(click.ParamType[tuple[str, str]]):
        name = "setting"

        def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
            from graphc.front.override_paths import parse_set

            return value if isinstance(value, tuple) else parse_set(value)

    return Setting()


def _size() -> Any:
    """click's type of a number of bytes, as 6GiB."""
    import click

    class Size(click.ParamType[int]):
        name = "size"

        def convert(self, value: Any, param: Any, ctx: Any) -> int:
            from graphc.budget import checked_size

            return checked_size(value)

    return Size()


memory_option = option(
    "--memory",
    kind=_size,
    metavar="SIZE",
    help="Device memory that the plan must not exceed, as 6GiB or 500MB.",
)
host_option = option(
    "--host",
    kind=_size,
    metavar="SIZE",
    help="Of --memory in training: host memory that what waits for the backward may be sent to.",
)
override_option = option(
    "--override",
    "override_specs",
    multiple=True,
    metavar="LAYER=HOW",
    help="Of training: keep what a layer makes, or replay it, whatever the budget: conv1=keep, "
    "relu1=replay (repeatable).",
)
policy_option = option(
    "--policy",
    kind=one_of(
        "ours", "sqrt", "speed", "memory", "cost_aware", "revolve", "offload", "tensor_cache"
    ),
    default="ours",
    show_default=True,
    help="Of training within --memory: how to choose what is computed twice.",
)
micro_batch_option = option(
    "--micro-batch",
    kind=at_least(1),
    metavar="N",
    help="Of training: run layers on N samples at a time; gradients add up to those of the batch.",
)
mbs_option = option(
    "--mbs",
    kind=_size,
    metavar="SIZE",
    help="Run groups of layers on few samples at a time, whose data fit in a cache of SIZE.",
)
pin_option = option(
    "--pin-variants",
    is_flag=True,
    help="The same kernels under every budget, so that results are the same to the bit.",
)
set_option = option(
    "--set",
    "set",
    kind=_setting,
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field that the file gives, as layer[conv1].convolution_param.num_output=8 "
    "(repeatable).",
)
ops_option = option(
    "--ops",
    "ops_files",
    multiple=True,
    metavar="FILE.py",
    help="A file with layers of your own (repeatable).",
)
target_option = option(
    "--target", metavar="T", help="Where to run.  [default: cpu, or where it was compiled for]"
)
gpu_option = option(
    "--gpu",
    kind=at_least(0),
    metavar="[=N]",
    help="Run on a GPU, the first or that of number N: target cuda.",
)
threads_option = option(
    "--threads",
    kind=at_least(1, 1024),
    metavar="N",
    help="Threads of target cpu.  [default: one per CPU]",
)
calibration_option = option(
    "--calibration",
    metavar="F.npz",
    help="Arrays by input, and `label`, the right classes: what passes measure on.",
)
allow_extensions_option = option(
    "--allow-extensions",
    is_flag=True,
    help="Let there be layers of types that plain Caffe lacks.",
)
json_option = option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
NET_OPTIONS = (
    option(
        "-w",
        "--weights",
        metavar="FILE",
        help="Weights: caffemodel, HDF5, safetensors or npz; told by content.",
    ),
    option(
        "--phase",
        kind=one_of("TEST", "TRAIN"),
        default="TEST",
        show_default=True,
        help="Which layers the include and exclude rules keep.",
    ),
    option("--level", type=int, default=0, help="Level for these rules."),
    option(
        "--stage",
        "stages",
        multiple=True,
        metavar="NAME",
        help="Stage, likewise (repeatable).",
    ),
    option(
        "--shape",
        "shapes",
        multiple=True,
        metavar="BLOB=DIMS",
        help="Shape of an input or a data layer's top, as data=1x3x224x224 (repeatable).",
    ),
    option("--batch", kind=at_least(1), metavar="N", help="Batch size of all inputs."),
    ops_option,
    option("--strict", is_flag=True, help="Limits for files you do not trust."),
    option(
        "--strict-weights/--no-strict-weights",
        default=True,
        help="Must the weight file have every layer? Else those missing keep their "
        "fillers.  [default: yes]",
    ),
    option("--dialect", default="auto", metavar="FORK", help="The fork a binary net is from."),
    option("--seed", type=int, default=1, metavar="N", help="Seed of the fillers."),
    set_option,
)
INPUT_OPTIONS = (
    option(
        "--input",
        "inputs",
        multiple=True,
        metavar="[NAME=]FILE",
        help="Image, .npy or .npz; several images make a batch (repeatable).",
    ),
    option(
        "--mean",
        metavar="B,G,R|FILE",
        help="Subtracted from images: one number, one each, or a .binaryproto or .npy.",
    ),
    option(
        "--scale",
        type=float,
        default=1.0,
        metavar="S",
        help="Images are multiplied by it after the mean.",
    ),
    option("--rgb", is_flag=True, help="Feed channels in RGB order, not BGR."),
)


def net_options(function: F) -> F:
    """Everything that says which network is meant: weights, phase, shapes, limits, own layers."""
    return decorated(function, NET_OPTIONS)


def input_options(function: F) -> F:
    """What a network is fed: files, and what is done to images."""
    return decorated(function, INPUT_OPTIONS)


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """name=1x3x224x224 -> {name: (1, 3, 224, 224)}. Raises GC-C001."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, dims = text.rpartition("=")
        try:
            shapes[name] = tuple(int(d) for d in dims.lower().replace(",", "x").split("x"))
        except ValueError:
            equals = ""
        if not equals or not name:
            fail("GC-C001", f"--shape {text!r} is not BLOB=DIMS", "write data=1x3x224x224")
    return shapes


def parse_numbers(option: str, text: str | None) -> tuple[float, ...]:
    """ "104,117,123" -> (104.0, 117.0, 123.0). Raises GC-C001."""
    try:
        return tuple(float(x) for x in text.split(",")) if text is not None else ()
    except ValueError:
        fail("GC-C001", f"{option} {text!r} is no list of numbers", f"write {option} 104,117,123")


def choose_gpu(options: dict[str, Any]) -> None:
    """Let --gpu, if it is there, be the target. Raises GC-C001 for another --target beside it."""
    number, target = options.pop("gpu"), options["target"]
    if number is None:
        return
    if target not in (None, "cuda"):
        fail("GC-C001", f"--gpu and --target {target} exclude each other", "leave one of them out")
    options["target"] = f"cuda:{number}" if number else "cuda"


def given(name: str) -> bool:
    """Was the option on the command line, rather than left at its default?"""
    import click

    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def spelled(name: str) -> str:
    """How the user writes the option whose value is called `name`."""
    import click

    for parameter in click.get_current_context().command.params:
        if parameter.name == name:
            return max(parameter.opts, key=len)
    return name
