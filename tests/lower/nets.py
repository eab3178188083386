"""Small nets, one for each way in which values can share storage."""

from __future__ import annotations

INPUT = """layer { name: "in" type: "Input" top: "data" top: "label" input_param {
  shape { dim: 2 dim: 4 dim: 6 dim: 6 } shape { dim: 2 } } }
"""


def conv(name: str, bottom: str, top: str, outputs: int, size: int = 1, more: str = "") -> str:
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top}" {more}
  convolution_param {{ num_output: {outputs} kernel_size: {size} pad: {size // 2}
    weight_filler {{ type: "xavier" }} bias_filler {{ type: "constant" value: 0.1 }} }} }}
"""


def layer(type_: str, name: str, bottoms: str, tops: str, extra: str = "") -> str:
    ends = "".join(f' bottom: "{b}"' for b in bottoms.split())
    ends += "".join(f' top: "{t}"' for t in tops.split())
    return f'layer {{ name: "{name}" type: "{type_}"{ends} {extra} }}\n'


def relu(blob: str) -> str:
    return layer("ReLU", f"relu_{blob}", blob, blob)


def loss(bottom: str) -> str:
    fc = 'inner_product_param { num_output: 3 weight_filler { type: "xavier" } }'
    text = layer("InnerProduct", "fc", bottom, "fc", fc)
    return text + layer("SoftmaxWithLoss", "loss", "fc label", "loss")


def norm(name: str, blob: str) -> str:
    scale = "scale_param { bias_term: true }"
    return layer("BatchNorm", f"bn_{name}", blob, blob) + layer(
        "Scale", f"scale_{name}", blob, blob, scale
    )


INCEPTION = (
    INPUT
    + conv("stem", "data", "stem", 6)
    + relu("stem")
    + conv("a", "stem", "a", 2)
    + relu("a")
    + conv("b1", "stem", "b1", 3)
    + relu("b1")
    + conv("b2", "b1", "b2", 4, 3)
    + relu("b2")
    + layer("Pooling", "p", "stem", "p", "pooling_param { kernel_size: 3 pad: 1 stride: 1 }")
    + conv("c", "p", "c", 2)
    + relu("c")
    + layer("Concat", "join", "a b2 c", "join")
    + conv("d", "join", "d", 4)
    + loss("d")
)
RESIDUAL = (
    INPUT
    + conv("stem", "data", "stem", 4)
    + norm("stem", "stem")
    + relu("stem")
    + conv("r1", "stem", "r1", 4)
    + norm("r1", "r1")
    + relu("r1")
    + conv("r2", "r1", "r2", 4)
    + norm("r2", "r2")
    + layer("Eltwise", "add", "stem r2", "add")
    + relu("add")
    + layer("Pooling", "pool", "add", "pool", "pooling_param { pool: AVE global_pooling: true }")
    + loss("pool")
)
DENSE = (
    INPUT
    + conv("x1", "data", "x1", 2)
    + layer("Concat", "j1", "data x1", "j1")
    + conv("x2", "j1", "x2", 2)
    + layer("Concat", "j2", "j1 x2", "j2")
    + conv("x3", "j2", "x3", 2)
    + layer("Concat", "j3", "j2 x3", "j3")
    + loss("j3")
)
SLICES = (
    INPUT
    + conv("stem", "data", "stem", 6)
    + layer("Slice", "cut", "stem", "s0 s1 s2", "slice_param { slice_point: 1 slice_point: 4 }")
    + relu("s1")
    + layer("TanH", "t", "s2", "t")
    + layer("Concat", "join", "t s1 s0", "join")
    + layer("Flatten", "flat", "join", "flat")
    + loss("flat")
)
TWICE = (
    INPUT
    + conv("stem", "data", "stem", 3)
    + layer("Concat", "same", "stem stem", "same")
    + layer("Concat", "other", "stem same", "other")
    + layer("Concat", "given", "data other", "given")
    + loss("given")
)
SHARED = (
    INPUT
    + conv("one", "data", "one", 4, more='param { name: "w" } param { name: "b" }')
    + layer("Sigmoid", "s", "one", "s")
    + conv("two", "s", "two", 4, more='param { name: "w" } param { name: "b" }')
    + layer("TanH", "t", "two", "t")
    + conv("three", "t", "three", 4, more='param { name: "w" } param { name: "b" }')
    + loss("three")
)
SIAMESE = (
    INPUT
    + layer("Power", "p", "data", "p", "power_param { scale: 2 }")
    + """layer { name: "pair" type: "Convolution" bottom: "data" bottom: "p" top: "a" top: "b"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
"""
    + layer("Eltwise", "mul", "a b", "mul", "eltwise_param { operation: PROD }")
    + loss("mul")
)
FLATTENED = (
    INPUT
    + conv("a", "data", "a", 2)
    + conv("b", "data", "b", 3)
    + layer("Flatten", "fa", "a", "fa")
    + layer("Reshape", "fb", "b", "fb", "reshape_param { shape { dim: 0 dim: -1 } }")
    + layer("Concat", "join", "fa fb", "join")
    + loss("join")
)
STRIDED = (
    INPUT
    + conv("stem", "data", "stem", 4)
    + layer("Slice", "cut", "stem", "u v", "slice_param { axis: 3 slice_point: 2 }")
    + layer("Flatten", "fu", "u", "fu")
    + layer("Split", "split", "v", "v1 v2")
    + layer("Eltwise", "sum", "v1 v2", "sum", "eltwise_param { coeff: 1 coeff: -0.5 }")
    + layer("Flatten", "fs", "sum", "fs")
    + layer("Concat", "join", "fu fs", "join")
    + loss("join")
)
DROPPED = (
    INPUT
    + conv("stem", "data", "stem", 4)
    + layer("Dropout", "drop", "stem", "stem")
    + relu("stem")
    + layer("LRN", "lrn", "stem", "lrn", "lrn_param { local_size: 3 }")
    + layer("Silence", "hush", "lrn", "")
    + layer("Pooling", "small", "data", "small", "pooling_param { kernel_size: 3 stride: 3 }")
    + layer("Crop", "crop", "stem small", "crop", "crop_param { axis: 2 offset: 1 }")
    + loss("crop")
)
RECURRENT = """layer { name: "in" type: "Input" top: "data" top: "cont" top: "label" input_param {
  shape { dim: 3 dim: 2 dim: 4 } shape { dim: 3 dim: 2 } shape { dim: 3 dim: 2 } } }
layer { name: "lstm" type: "LSTM" bottom: "data" bottom: "cont" top: "h" recurrent_param {
  num_output: 3 weight_filler { type: "uniform" min: -0.5 max: 0.5 } } }
layer { name: "rnn" type: "RNN" bottom: "h" bottom: "cont" top: "r" recurrent_param {
  num_output: 2 weight_filler { type: "uniform" min: -0.5 max: 0.5 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "r" bottom: "label" top: "loss"
  softmax_param { axis: 2 } }
"""
EVERY = {
    "inception": INCEPTION,
    "residual": RESIDUAL,
    "dense": DENSE,
    "slices": SLICES,
    "twice": TWICE,
    "shared": SHARED,
    "siamese": SIAMESE,
    "flattened": FLATTENED,
    "strided": STRIDED,
    "dropped": DROPPED,
    "recurrent": RECURRENT,
}
