"""Net: a small language in which the architectures are written.

Every method adds layers and returns the name of the blob it made. One description gives both
files: `deploy` (Input, ..., Softmax) and `train` (data and label, multipliers, losses, accuracies).
"""

from __future__ import annotations

from typing import Any

from nets.text import Enum, Fields, Layer, network

Filler = Fields
Mult = tuple[tuple[float, float], ...]  # (lr_mult, decay_mult) per blob

XAVIER: Filler = {"type": "xavier"}
MSRA: Filler = {"type": "msra"}
PLAIN: Mult = ((1, 1), (1, 1))
BIAS_FASTER: Mult = ((1, 1), (2, 0))


def gaussian(std: float) -> Filler:
    return {"type": "gaussian", "std": std}


def constant(value: float) -> Filler:
    return {"type": "constant", "value": value}


class Net:
    """A net under construction. `image`: (channels, height, width); `weight`, `bias`: fillers;
    `mult`: the multipliers of layers that do not give their own; `eps`: BatchNorm's."""

    def __init__(
        self,
        name: str,
        *,
        train: bool,
        image: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        batch: int = 32,
        weight: Filler = MSRA,
        bias: Filler | None = None,
        mult: Mult = BIAS_FASTER,
        eps: float = 1e-5,
    ) -> None:
        self.name, self.train, self.classes = name, train, classes
        self.weight, self.bias, self.mult, self.eps = weight, bias, mult, eps
        self.layers: list[Layer] = []
        size = batch if train else 1
        shapes = [{"dim": [size, *image]}] + [{"dim": [size]}] * train
        tops = ("data", "label") if train else ("data",)
        self.add("data", "Input", (), tops, input_param={"shape": shapes})

    def text(self) -> str:
        return network(self.name, self.layers)

    def add(
        self,
        name: str,
        type_: str,
        bottoms: tuple[str, ...],
        tops: tuple[str, ...],
        **fields: Any,
    ) -> str:
        kept: Fields = {k: v for k, v in fields.items() if v}
        self.layers.append(Layer(name, type_, bottoms, tops, kept))
        return tops[0]

    def conv(
        self,
        x: str,
        name: str,
        out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        pad: int | tuple[int, int] = 0,
        group: int = 1,
        has_bias: bool = True,
        weight: Filler | None = None,
        bias: Filler | None = None,
        mult: Mult | None = None,
    ) -> str:
        """Convolution; `kernel` and `pad` may be (height, width)."""
        param: Fields = {"num_output": out}
        param |= {} if has_bias else {"bias_term": False}
        param |= _spatial("pad", pad, 0) | _spatial("kernel", kernel, None)
        param |= {"stride": stride} if stride > 1 else {}
        param |= {"group": group} if group > 1 else {}
        param |= self._fillers(has_bias, weight, bias)
        mults = self._mults(mult, 1 + has_bias)
        return self.add(name, "Convolution", (x,), (name,), param=mults, convolution_param=param)

    def fc(
        self,
        x: str,
        name: str,
        out: int,
        *,
        weight: Filler | None = None,
        bias: Filler | None = None,
        mult: Mult | None = None,
    ) -> str:
        """InnerProduct."""
        param: Fields = {"num_output": out, **self._fillers(True, weight, bias)}
        mults = self._mults(mult, 2)
        return self.add(name, "InnerProduct", (x,), (name,), param=mults, inner_product_param=param)

    def norm(
        self, x: str, name: str, scale: str, top: str | None = None, mult: Mult | None = None
    ) -> str:
        """BatchNorm called `name`, then Scale called `scale` with a bias; in place unless `top`."""
        param = {"eps": self.eps} if self.eps != 1e-5 else {}
        y = self.add(name, "BatchNorm", (x,), (top or x,), batch_norm_param=param)
        mults = self._mults(mult or PLAIN, 2)
        return self.add(scale, "Scale", (y,), (y,), param=mults, scale_param={"bias_term": True})

    def relu(self, x: str, name: str) -> str:
        return self.add(name, "ReLU", (x,), (x,))

    def lrn(self, x: str, name: str, *, size: int, alpha: float, within: bool = False) -> str:
        param: Fields = {"local_size": size, "alpha": alpha, "beta": 0.75}
        param |= {"norm_region": Enum("WITHIN_CHANNEL")} if within else {}
        return self.add(name, "LRN", (x,), (name,), lrn_param=param)

    def pool(
        self,
        x: str,
        name: str,
        method: str,
        kernel: int = 0,
        stride: int = 1,
        pad: int = 0,
        floor: bool = False,
    ) -> str:
        """Pooling, MAX or AVE; kernel 0 takes the whole map."""
        param: Fields = {"pool": Enum(method)}
        param |= {"kernel_size": kernel} if kernel else {"global_pooling": True}
        param |= {"stride": stride} if stride > 1 else {}
        param |= {"pad": pad} if pad else {}
        param |= {"round_mode": Enum("FLOOR")} if floor else {}
        return self.add(name, "Pooling", (x,), (name,), pooling_param=param)

    def concat(self, name: str, *xs: str) -> str:
        return self.add(name, "Concat", xs, (name,))

    def sum(self, name: str, *xs: str) -> str:
        return self.add(name, "Eltwise", xs, (name,))

    def zeros(self, x: str, name: str) -> str:
        """A blob of x's shape that is 0 everywhere."""
        return self.add(name, "Power", (x,), (name,), power_param={"scale": 0})

    def dropout(self, x: str, name: str, ratio: float = 0.5) -> str:
        param = {"dropout_ratio": ratio}
        return self.add(name, "Dropout", (x,), (x,), dropout_param=param)

    def finish(self, x: str) -> None:
        """Softmax `prob`; in the train net, loss and accuracies."""
        if self.train:
            self.accuracy(x, "accuracy")
            if self.classes >= 100:
                self.accuracy(x, "accuracy_top5", 5)
            self.loss(x, "loss", "loss")
        else:
            self.add("prob", "Softmax", (x,), ("prob",))

    def loss(self, x: str, name: str, top: str, weight: float = 1) -> None:
        given = {"loss_weight": weight} if weight != 1 else {}
        self.add(name, "SoftmaxWithLoss", (x, "label"), (top,), **given)

    def accuracy(self, x: str, name: str, top_k: int = 1) -> None:
        only = {"include": {"phase": Enum("TEST")}}
        given = {"accuracy_param": {"top_k": top_k}} if top_k > 1 else {}
        self.add(name, "Accuracy", (x, "label"), (name,), **only, **given)

    def _fillers(self, has_bias: bool, weight: Filler | None, bias: Filler | None) -> Fields:
        given: Fields = {"weight_filler": weight or self.weight}
        chosen = bias or self.bias
        return given | ({"bias_filler": chosen} if has_bias and chosen else {})

    def _mults(self, mult: Mult | None, count: int) -> list[Fields]:
        """The `param { }` entries; none where all are 1, and none in the deploy net."""
        chosen = (mult or self.mult)[:count]
        if not self.train or chosen == PLAIN[:count]:
            return []
        return [{"lr_mult": lr, "decay_mult": decay} for lr, decay in chosen]


def _spatial(key: str, value: int | tuple[int, int], default: int | None) -> Fields:
    """`kernel_size: 3`, `pad: 1`, or `kernel_h: 1 kernel_w: 7`; nothing where it is the default."""
    if isinstance(value, tuple):
        return {f"{key}_h": value[0], f"{key}_w": value[1]}
    return {} if value == default else {"kernel_size" if key == "kernel" else key: value}
