"""Every error code with its exit status and its `graphc explain` page.

The letter is the stage that noticed: F files, P parsing, N net structure, S shapes, W weights,
D data, L limits, U unsupported, R running, A artefact, K checkpoints, V IR verifier, O layer
declarations, T passes, X devices, M memory, C the command line.
"""

from __future__ import annotations

from graphc.records import record

CHECK, USAGE, MODEL, UNSUPPORTED, MEMORY, DEVICE, IO, LIMIT, INTERNAL = 1, 2, 3, 4, 5, 6, 7, 8, 70


@record(frozen=True, slots=True)
class Code:
    """`title`: a few words; `cause`: what it means; `cure`: what to do."""

    exit_code: int
    title: str
    cause: str
    cure: str


CODES: dict[str, Code] = {
    "GC-F001": Code(
        IO,
        "file cannot be read",
        "A file named on the command line, in the API or inside the prototxt does not exist, is a "
        "folder, or may not be read.",
        "Relative paths are tried from the current folder first, then from the prototxt's own.",
    ),
    "GC-F002": Code(
        IO,
        "file cannot be written",
        "Writing failed: the folder is missing, read-only or full. A file that was there before "
        "is untouched, because new files are written aside and renamed at the end.",
        "Free space or choose another place with -o.",
    ),
    "GC-F003": Code(
        IO,
        "path leaves its folder",
        "Under --strict, inside artefacts and in HDF5 files, a path may not be absolute, contain "
        "`..` or follow an external link.",
        "Move the file below the folder of the file that names it, or drop --strict.",
    ),
    "GC-P001": Code(
        MODEL,
        "text does not parse",
        "The prototxt is not valid protobuf text: unknown field, wrong value, missing brace.",
        "The message names line and column; near field names are suggested.",
    ),
    "GC-P002": Code(
        MODEL,
        "binary does not parse",
        "The caffemodel is truncated, or is no protobuf message of Caffe's.",
        "Check that the download is complete; HDF5 files are recognised by their signature.",
    ),
    "GC-P003": Code(
        MODEL,
        "binary dialect is ambiguous",
        "Forks of Caffe gave the same field numbers different meanings, and this file can be read "
        "in more than one way.",
        "Name the fork with --dialect.",
    ),
    "GC-P004": Code(
        MODEL,
        "legacy net cannot be upgraded",
        "A V0 or V1 net uses something Caffe's own upgrade refuses as well, such as a padding "
        "layer in front of a layer that takes no padding, or mixes `layer` with `layers`.",
        "Correct the old file as the message says.",
    ),
    "GC-P005": Code(
        MODEL,
        "solver definition is wrong",
        "A field of the solver is missing, or has a value that training cannot go by.",
        "The message names the field.",
    ),
    "GC-N001": Code(
        MODEL,
        "unknown layer type",
        "No declaration of that type is known.",
        "Near names are suggested; `graphc ops` lists all; your own come with --ops f.py.",
    ),
    "GC-N002": Code(
        MODEL,
        "unknown bottom",
        "A layer reads a blob that no earlier layer has made (Caffe nets are written in order, so "
        "a cycle ends here too).",
        "Check the spelling, the order of layers, and phase rules that drop the producer.",
    ),
    "GC-N003": Code(
        MODEL,
        "top made twice",
        "Two layers write the same blob and the second does not read it in place.",
        "Rename one of the tops.",
    ),
    "GC-N004": Code(
        MODEL,
        "wrong number of bottoms or tops",
        "The layer type takes or gives another number of blobs.",
        "`graphc ops TYPE` shows what it takes.",
    ),
    "GC-N005": Code(
        MODEL,
        "contradicting rules",
        "A layer has both include and exclude rules, a wrong number of propagate_down or "
        "loss_weight entries, or more param entries than blobs.",
        "Keep one kind of rule, one entry per bottom, top or blob.",
    ),
    "GC-N006": Code(
        MODEL,
        "shared parameter disagrees",
        "Layers that share a parameter by name give it different shapes or multipliers.",
        "Make them equal, or use share_mode: PERMISSIVE for equal counts.",
    ),
    "GC-N007": Code(
        MODEL,
        "gradient cannot pass",
        "A learnable layer lies behind a bottom that has no gradient, such as a label.",
        "Stop the gradient there with propagate_down: false.",
    ),
    "GC-N008": Code(
        MODEL,
        "layer option is wrong",
        "A field of the layer has a value the layer does not allow.",
        "The message names the field; `graphc ops TYPE` describes it.",
    ),
    "GC-S001": Code(
        MODEL,
        "dimension out of range",
        "A dimension is negative, or too large for any tensor.",
        "Dimensions lie between 0 and 2^31 - 1.",
    ),
    "GC-S002": Code(
        MODEL,
        "shape does not fit the layer",
        "A bottom has the wrong number of axes, or a kernel is larger than its padded input, or a "
        "count does not divide.",
        "The message names the bottom and its shape.",
    ),
    "GC-S003": Code(
        MODEL,
        "bottoms disagree",
        "Bottoms that must have equal shapes, or equal axes, differ.",
        "The message names both shapes.",
    ),
    "GC-S004": Code(
        MODEL,
        "shape is unknown",
        "A net input has no shape, or a data layer's source is not at hand to give one.",
        "Give it with --shape name=NxCxHxW, or `shapes={...}` in Python.",
    ),
    "GC-W001": Code(
        MODEL,
        "weights do not fit",
        "A blob in the weight file has another shape, or the layer another number of blobs, than "
        "the net.",
        "Rename the layer to give it new weights, or load with strict=False.",
    ),
    "GC-W002": Code(
        MODEL,
        "weights are incomplete",
        "Layers with parameters are missing in the weight file, or the file has none in common "
        "with the net.",
        "Load with strict=False (--no-strict-weights) to keep the fillers' values.",
    ),
    "GC-W003": Code(
        MODEL,
        "weight file lies",
        "A blob's element count differs from its shape, or its data is broken.",
        "The file is damaged or hostile; fetch it again.",
    ),
    "GC-W004": Code(
        MODEL,
        "sparse layout is full",
        "A kernel of sparse weights met more weights that are not zero than it was made for. A "
        "network that runs lays its weights out anew by itself, so only a kernel that is called "
        "by hand tells.",
        "Make the kernel again, with attribute stored at least as large.",
    ),
    "GC-D001": Code(
        IO,
        "data source cannot be read",
        "A data layer's LMDB, HDF5 file, image or list is missing or broken.",
        "The message names source, record and layer.",
    ),
    "GC-D002": Code(
        MODEL,
        "data does not fit",
        "A record, mean or label has the wrong size, or a data layer's options contradict.",
        "The message names source, record and layer.",
    ),
    "GC-D003": Code(
        MODEL,
        "label out of range",
        "A label or index lies outside what the layer can look up.",
        "Labels count from 0; the message names the value, the number of classes, and the record "
        "if a data layer has read it.",
    ),
    "GC-L001": Code(
        LIMIT,
        "limit exceeded",
        "The input is larger than a limit on files, layers, nesting or tensors allows.",
        "Loosen the limit named in the message if you trust the file.",
    ),
    "GC-U001": Code(
        UNSUPPORTED,
        "not supported",
        "The layer, option or format is known, but graphc has no implementation of it.",
        "The message says what to use instead.",
    ),
    "GC-U002": Code(
        UNSUPPORTED,
        "optional package missing",
        "The feature needs a package that is an extra of graphc.",
        "Install the extra named in the message, such as pip install 'graphc[data]'.",
    ),
    "GC-R001": Code(
        USAGE,
        "wrong input at run",
        "An array given at run has the wrong name, shape or kind.",
        "`graphc inspect` lists a net's inputs and their shapes.",
    ),
    "GC-R002": Code(
        USAGE,
        "unknown name",
        "A blob, layer or option asked for does not exist.",
        "Near names are suggested.",
    ),
    "GC-R003": Code(
        USAGE,
        "call does not apply",
        "The call needs something this network was not compiled for, such as gradients.",
        "The message names the option to compile with.",
    ),
    "GC-R004": Code(
        USAGE,
        "setting is wrong",
        "An environment variable that graphc obeys, a count of threads, a memory budget, or what "
        "--set or `set=` gives to a field, cannot be what it is.",
        "The message names it; leave it out for the default.",
    ),
    "GC-A001": Code(
        MODEL,
        "artefact is broken",
        "A .gcz file is truncated, edited, or no artefact at all.",
        "Compile the network again.",
    ),
    "GC-K001": Code(
        MODEL,
        "checkpoint cannot be used",
        "A .solverstate or .gck file is broken or none at all, the weights it names are missing, "
        "the files come from different snapshots, or they are of another network.",
        "Take all files of one snapshot, or an earlier one; weights alone are a start with "
        "--weights.",
    ),
    "GC-V001": Code(
        INTERNAL,
        "IR is invalid",
        "A pass or a stage left a graph that the verifier refuses, or one without an input, output "
        "or pinned blob it had.",
        "If the pass is yours, the message says what it broke; else please report it.",
    ),
    "GC-V002": Code(
        MODEL,
        "IR text does not parse",
        "A graph in text form has a syntax error or names something undefined.",
        "The message names the line.",
    ),
    "GC-V003": Code(
        INTERNAL,
        "memory plan is invalid",
        "A plan would let a call read or overwrite the wrong bytes, or its figures do not hold. "
        "Every plan is checked before it runs, so nothing has been computed.",
        "Compile the network again; if the plan came from no file, please report it.",
    ),
    "GC-O001": Code(
        MODEL,
        "bad layer declaration",
        "A layer class contradicts itself, or two declare the same type.",
        "Correct the class named in the message; docs/new-layer.md shows a complete one.",
    ),
    "GC-T001": Code(
        USAGE,
        "bad pass or recipe",
        "A pass is unknown or fails, has an unknown option, or its requirements do not hold.",
        "`graphc passes` lists passes and options.",
    ),
    "GC-T002": Code(
        CHECK,
        "pass changed too much",
        "A pass changed the outputs by more than it may.",
        "Raise --max-error if the change is acceptable.",
    ),
    "GC-X001": Code(
        DEVICE,
        "device not available",
        "The target asked for cannot run here.",
        "`graphc doctor` says what is missing.",
    ),
    "GC-X002": Code(
        DEVICE,
        "device failed",
        "A GPU reported an error while it computed, was lost, or was asked for something that it "
        "cannot do then. Nothing more can be computed in this process; files are untouched.",
        "Go on from the last snapshot with --resume; GRAPHC_GPU=trace runs step by step and names "
        "the kernel that fails.",
    ),
    "GC-R005": Code(
        CHECK,
        "training went astray",
        "The loss of an iteration is infinite or no number. The message names the first blob that "
        "is; parameters are those of before the iteration, and snapshots are untouched.",
        "Lower base_lr, add clip_gradients or a warm-up, or look at the data and at that layer.",
    ),
    "GC-M001": Code(
        MEMORY,
        "plan is larger than the budget",
        "The network's memory plan, made before anything runs, needs more device memory than "
        "--memory or `memory=` allows; in training, even if activations are computed twice.",
        "Use a smaller batch: `graphc plan NET --memory SIZE --largest-batch` finds it.",
    ),
    "GC-M002": Code(
        MEMORY,
        "out of memory",
        "The machine has no memory left for a tensor the network needs.",
        "Use a smaller batch or input.",
    ),
    "GC-C001": Code(
        USAGE,
        "command line is wrong",
        "A verb or option is unknown, misses its value, or contradicts another.",
        "`graphc --help` lists the verbs, `graphc VERB --help` a verb's options.",
    ),
    "GC-C002": Code(
        INTERNAL,
        "graphc itself failed",
        "Something happened that graphc was not prepared for: a mistake in graphc, or in a layer "
        "or pass of your own.",
        "GRAPHC_DEBUG=1 shows the Python traceback; please report it with the command.",
    ),
}
