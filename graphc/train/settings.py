"""Settings: what of a solver prototxt training goes by, and what it does not obey."""

from __future__ import annotations

from dataclasses import field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.errors import GraphError, Loc, fail, near
from graphc.ir.graph import Value
from graphc.ops.update.registry import RULES, find_rule
from graphc.ops.update.regularizer import Regularizer
from graphc.ops.update.rule import RuleAttrs, UpdateRule
from graphc.ops.update.sgd import SGD
from graphc.records import record
from graphc.train.nets import NetSettings, NetTest, nets_to_test, train_net
from graphc.train.rates import Policy

if TYPE_CHECKING:
    from graphc.front.overrides import Overrides

NOT_OBEYED = (
    *("rampup_interval", "momentum_policy", "weight_decay_policy", "larc", "local_lr_auto"),
    *("disabled_update", "force_decay", "kernel_shape_decay", "breadth_decay"),
    *("block_group_decay", "local_gw_ratio", "snapshot_diff"),
)
"""Fields of the forks' solvers, and of Caffe's, that would change what comes out."""


@record(frozen=True)
class Settings:
    """Fields are called as those of a solver prototxt, of which they are the present form.

    `clip_gradients` None: not clipped; `random_seed` None: none given. Defaults are those of
    AlexNet's solver.
    """

    rule: type[UpdateRule] = SGD
    policy: Policy = field(default_factory=Policy)
    momentum: float = 0.9
    momentum2: float = 0.999
    rms_decay: float = 0.99
    delta: float = 1e-8
    weight_decay: float = 0.0005
    is_l1: bool = False
    clip_gradients: float | None = None
    iter_size: int = 1
    net: NetSettings = field(default_factory=NetSettings)
    tests: tuple[NetTest, ...] = ()
    test_interval: int = 0
    test_initialization: bool = True
    test_compute_loss: bool = False
    max_iter: int = 0
    display: int = 0
    average_loss: int = 1
    snapshot: int = 0
    snapshot_prefix: str = ""
    snapshot_hdf5: bool = False
    snapshot_after_train: bool = True
    weights: tuple[str, ...] = ()
    random_seed: int | None = None
    debug_info: bool = False
    regularizers: tuple[Regularizer, ...] = ()

    def attrs(self, parameter: Value) -> RuleAttrs:
        """Those of a parameter's update."""
        decay = self.weight_decay * parameter.decay_mult
        return self.rule_attrs(parameter.lr_mult, decay)

    def told(self) -> dict[str, object]:
        """What there is to say of them, by field of a solver prototxt; what is at its default and
        says nothing is left out."""
        policy = {"lr_policy": self.policy.kind} | {
            f.name: getattr(self.policy, f.name) for f in fields(Policy) if f.name != "kind"
        }
        own = {f.name: getattr(self, f.name) for f in fields(Settings)}
        for name in (
            "rule",
            "policy",
            "net",
            "tests",
            "is_l1",
            "snapshot_hdf5",
            "weights",
            "regularizers",
        ):
            own.pop(name)
        decay = {"regularization_type": "L1" if self.is_l1 else "L2"} if self.weight_decay else {}
        whole = {"net": str(self.net.net), "type": self.rule.type, **policy, **own, **decay}
        tests = {"test_iter": [test.batches for test in self.tests]}
        return {k: v for k, v in (whole | tests).items() if v not in (None, 0, "", (), [], False)}

    def rule_attrs(self, lr_mult: float = 1.0, decay: float = 0.0) -> RuleAttrs:
        made = self.rule.Attrs
        common = {each.name for each in fields(RuleAttrs)}
        own = {f.name: getattr(self, f.name) for f in fields(made) if f.name not in common}
        found: RuleAttrs = made(lr_mult, decay, self.is_l1, self.iter_size, **own)
        return found


def read_settings(path: str | Path, set: Overrides = ()) -> Settings:
    """The settings of a solver prototxt, of which `set` changes fields (of the solver's own).

    Raises GC-P005 for what is missing or wrong, GC-U001 for what is not obeyed, and what reading
    raises, with the file.
    """
    from graphc.front.solver import read_solver

    message = read_solver(path, set=set)
    try:
        return _settings(message, Path(path))
    except GraphError as error:
        raise error.at(loc=Loc(str(path))) from None


def _settings(message: Any, path: Path) -> Settings:
    _check(message)
    rule = _rule(message)
    seed = message.random_seed
    return Settings(
        rule=rule,
        policy=_policy(message),
        momentum=message.momentum,
        momentum2=message.momentum2,
        rms_decay=message.rms_decay,
        delta=message.delta,
        weight_decay=message.weight_decay,
        is_l1=message.regularization_type == "L1",
        clip_gradients=message.clip_gradients if message.clip_gradients >= 0 else None,
        iter_size=message.iter_size,
        net=train_net(message, path),
        tests=nets_to_test(message, path),
        test_interval=message.test_interval,
        test_initialization=message.test_initialization,
        test_compute_loss=message.test_compute_loss,
        max_iter=message.max_iter,
        display=message.display,
        average_loss=message.average_loss,
        snapshot=message.snapshot,
        snapshot_prefix=message.snapshot_prefix,
        snapshot_hdf5=message.snapshot_format == 0,
        snapshot_after_train=message.snapshot_after_train,
        weights=tuple(file for entry in message.weights for file in entry.split(",") if file),
        random_seed=seed if seed >= 0 else None,
        debug_info=message.debug_info,
    )


def _check(message: Any) -> None:
    """Raise GC-U001 for what would change the numbers, and is not obeyed, GC-P005 for nonsense."""
    for name in NOT_OBEYED:
        if name in message.DESCRIPTOR.fields_by_name and _is_set(message, name):
            fail("GC-U001", f"{name} is not obeyed", "leave it out")
    if not message.HasField("base_lr"):
        fail("GC-P005", "the solver has no base_lr", "add base_lr: 0.01")
    if message.regularization_type not in ("L1", "L2"):
        told = f"no regularization_type {message.regularization_type!r}"
        fail("GC-P005", told, "there are 'L2' and 'L1'")
    least = {"iter_size": 1, "average_loss": 1, "max_iter": 0, "display": 0, "snapshot": 0}
    for name, bound in {**least, "test_interval": 0, "warmup_iter": 0}.items():
        value = getattr(message, name)
        if value < bound:
            fail("GC-P005", f"{name} is {value}", f"it is at least {bound}")


def _is_set(message: Any, name: str) -> bool:
    """Is it given, and not as what it is anyway?"""
    known = message.DESCRIPTOR.fields_by_name[name]
    return bool(message.HasField(name) and getattr(message, name) != known.default_value)


def _policy(message: Any) -> Policy:
    given: dict[str, Any] = {"kind": message.lr_policy}
    for each in fields(Policy):
        if each.name != "kind":
            value = getattr(message, each.name)
            is_list = isinstance(each.default, tuple)
            given[each.name] = tuple(value) if is_list else value
    return Policy(**given)


def _rule(message: Any) -> type[UpdateRule]:
    name = message.type
    if name not in RULES:
        hint = near(name, RULES) or f"there are {', '.join(RULES)}"
        fail("GC-P005", f"no solver type {name!r}", hint)
    rule = find_rule(name)
    for each in rule.refused:
        if getattr(message, each):
            told = f"solver type {name!r} has no use for {each}"
            fail("GC-P005", told, f"leave {each} out, or choose another type")
    if message.regularization_type == "L1" and message.weight_decay and not rule.takes_l1:
        fail("GC-P005", f"solver type {name!r} decays weights as L2 does", "leave L1 out")
    averages = set(rule.Attrs.__dataclass_fields__) & {"momentum", "momentum2", "rms_decay"}
    for each in averages if len(rule.histories) > 1 or "rms_decay" in averages else ():
        if not 0 <= getattr(message, each) < 1:
            told = f"{each} is {getattr(message, each)}, of a moving average"
            fail("GC-P005", told, "it is at least 0 and below 1")
    return rule


__all__ = ["Settings", "read_settings"]
