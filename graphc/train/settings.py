"""Settings: what of a solver prototxt training goes by, and what it cannot do yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphc.errors import GraphError, Loc, fail, near
from graphc.ir.graph import Value
from graphc.ops.update.rule import RuleAttrs, UpdateRule
from graphc.ops.update.sgd import SGD, SGDAttrs
from graphc.records import record

RULES: dict[str, type[UpdateRule]] = {"SGD": SGD}
LATER = ("Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
NETS = ("net", "train_net")


@record(frozen=True)
class Settings:
    """`rate`: base_lr; `seed` of fillers, dropout and crops (None: none given). `net`: path of the
    network to train, of which `level` and `stages` choose the layers. Defaults are those of
    AlexNet's solver."""

    rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0005
    rule: type[UpdateRule] = SGD
    net: Path = Path()
    weights: tuple[str, ...] = ()
    seed: int | None = None
    level: int = 0
    stages: tuple[str, ...] = ()

    def attrs(self, parameter: Value) -> RuleAttrs:
        """Those of a parameter's update."""
        decay = self.weight_decay * parameter.decay_mult
        return SGDAttrs(parameter.lr_mult, decay, self.momentum)


def read_settings(path: str | Path) -> Settings:
    """The settings of a solver prototxt.

    Raises GC-P005 for what is missing or wrong, GC-U001 for what is not obeyed yet, and what
    reading raises, with the file.
    """
    from graphc.front.solver import read_solver

    message = read_solver(path)
    try:
        return _settings(message, Path(path))
    except GraphError as error:
        raise error.at(loc=Loc(str(path))) from None


def _settings(message: Any, path: Path) -> Settings:
    _check_supported(message)
    if not message.HasField("base_lr"):
        fail("GC-P005", "the solver has no base_lr", "add base_lr: 0.01")
    seed = message.random_seed
    state = message.train_state
    return Settings(
        rate=message.base_lr,
        momentum=message.momentum,
        weight_decay=message.weight_decay,
        rule=_rule(message.type),
        net=_net(message, path),
        weights=tuple(file for entry in message.weights for file in entry.split(",") if file),
        seed=seed if seed >= 0 else None,
        level=state.level,
        stages=tuple(state.stage),
    )


def _check_supported(message: Any) -> None:
    """Raise GC-U001 for what would change the numbers, and is not built."""
    policy = message.lr_policy
    if policy and policy != "fixed":
        fail("GC-U001", f"lr_policy {policy!r} is not obeyed yet", "lr_policy: 'fixed' is")
    if not policy:
        fail("GC-P005", "the solver has no lr_policy", "add lr_policy: 'fixed'")
    if message.iter_size != 1:
        fail("GC-U001", f"iter_size {message.iter_size} is not obeyed yet", "leave it out")
    if message.clip_gradients >= 0:
        fail("GC-U001", "clip_gradients is not obeyed yet", "leave it out")
    if message.regularization_type != "L2":
        told = f"regularization_type {message.regularization_type!r}"
        fail("GC-U001", f"{told} is not obeyed yet", "'L2' is")


def _rule(name: str) -> type[UpdateRule]:
    if name in LATER:
        fail("GC-U001", f"solver type {name!r} is not built yet", "'SGD' is")
    if name not in RULES:
        fail("GC-P005", f"no solver type {name!r}", near(name, RULES) or "there is 'SGD'")
    return RULES[name]


def _net(message: Any, path: Path) -> Path:
    """The file of the training net, from the current folder or beside the solver."""
    given = [field for field in NETS if message.HasField(field)]
    if message.HasField("net_param") or message.HasField("train_net_param"):
        fail("GC-U001", "a network inside the solver is not read yet", "name its file as net")
    if len(given) != 1:
        told = "net and train_net" if given else "neither net nor train_net"
        fail("GC-P005", f"the solver has {told}", "name the training network once, as net")
    named = Path(getattr(message, given[0]))
    beside = (path.parent / named, path.parent / named.name)
    return next((file for file in (named, *beside) if file.is_file()), named)


__all__ = ["Settings", "read_settings"]
