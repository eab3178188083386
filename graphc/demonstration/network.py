"""The demo's network and solver, as their files say it."""

from __future__ import annotations

NET = """name: "digits"
layer { name: "data" type: "Input" top: "data" include { phase: TEST }
  input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "data" type: "Input" top: "data" top: "label" include { phase: TRAIN }
  input_param { shape { dim: 32 dim: 1 dim: 8 dim: 8 } shape { dim: 32 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 16 kernel_size: 3 pad: 1 bias_term: false
                      weight_filler { type: "msra" } } }
layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "conv1"
  batch_norm_param { moving_average_fraction: 0.95 } }
layer { name: "scale1" type: "Scale" bottom: "conv1" top: "conv1"
  scale_param { bias_term: true } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 32 kernel_size: 3 pad: 1 bias_term: false
                      weight_filler { type: "msra" } } }
layer { name: "bn2" type: "BatchNorm" bottom: "conv2" top: "conv2"
  batch_norm_param { moving_average_fraction: 0.95 } }
layer { name: "scale2" type: "Scale" bottom: "conv2" top: "conv2"
  scale_param { bias_term: true } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "drop2" type: "Dropout" bottom: "conv2" top: "conv2"
  dropout_param { dropout_ratio: 0.25 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv2" top: "ip"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
  include { phase: TRAIN } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" include { phase: TEST } }
"""

ITERATIONS, DISPLAY = 450, 90
SETTINGS = {
    "net": '"net.prototxt"',
    "type": '"SGD"',
    "base_lr": "0.05",
    "lr_policy": '"fixed"',
    "momentum": "0.9",
    "weight_decay": "0.0005",
    "max_iter": str(ITERATIONS),
    "display": str(DISPLAY),
}


def settings(seed: int) -> dict[str, str]:
    """The solver's fields."""
    return SETTINGS | {"random_seed": str(seed)}


def solver(seed: int) -> str:
    """The solver prototxt."""
    return "".join(f"{name}: {value}\n" for name, value in settings(seed).items())


__all__ = ["DISPLAY", "ITERATIONS", "NET", "settings", "solver"]
