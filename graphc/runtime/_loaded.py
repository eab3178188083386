"""Loaded: a planned Program in a device's memory, every step bound to addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from graphc.cuda import Launch, symbols
from graphc.cuda.calls import spec, work_of
from graphc.cuda.launch import FAULT, NULL, STREAM, Given, Operand, Scratch
from graphc.errors import fail
from graphc.floats import Held, as_array
from graphc.numpy_later import np, npt
from graphc.plan.data import WEIGHTS, WORK, Arena, Plan, Step, StepKind
from graphc.program import HOST, PERSISTENT, Call, Program
from graphc.runtime._mirror import LINE, DeviceWeights
from graphc.runtime._operands import DTYPES, read, write
from graphc.runtime._poison import Place, poison_ranges
from graphc.runtime._steps import places_of
from graphc.runtime.device import (
    NO_FAULT,
    STREAM_STATE,
    STREAMS,
    Argument,
    Bytes,
    Device,
    Entry,
    Memory,
)

HostStep = Callable[[Call, "list[npt.NDArray[Any]]"], None]
"""Runs a call's reference on arrays: its reads, then its writes, which it fills."""
Command = Callable[[], None]


class Loaded:
    """Memory and commands of one plan. `own_bytes`: of the memory, without learned parameters and
    what somebody else has lent.

    Raises GC-M002 where there is no memory, GC-A001 for a plan that does not fit its Program.
    """

    def __init__(
        self, device: Device, program: Program, plan: Plan, weights: DeviceWeights, host: HostStep
    ) -> None:
        self.device, self.program, self.plan = device, program, plan
        self.weights, self._host = weights, host
        hosts = {at for at, arena in enumerate(plan.arenas) if arena.is_host}
        there = (program.buffers[root].name for root, (at, _) in plan.homes.items() if at in hosts)
        names = {b.name for b in program.buffers if b.kind in PERSISTENT}
        weights.settle([name for name in there if name in names])
        self.arenas, own = _memories(device, plan.arenas, weights.arenas)
        self._hosts = {at: device.host_arena(plan.arenas[at].nbytes) for at in hosts}
        self.own_bytes = own + weights.carried.device_bytes
        self.entries = list(plan.entries)
        self._keys = {entry: Entry() for entry in self.entries}
        self.faults: dict[str, list[Call]] = {}
        self._stream = device.arena(LINE)
        self._fault_words: dict[str, Memory] = {}
        launches: list[Launch] = []
        self._commands = {entry: self._bound(entry, launches) for entry in self.entries}
        device.load(launches)
        written = {e: {program.root(o.buffer).kind for c in self.calls(e) for o in c.writes}
                   for e in self.entries}  # fmt: skip
        self._learns = {entry for entry, kinds in written.items() if kinds & PERSISTENT}

    def calls(self, entry: str) -> list[Call]:
        return [self.program.calls[index] for index in self.program.entries[entry]]

    def run(self, entry: str, seed: int, step: int) -> tuple[Call, int] | None:
        """Run an entry to its end; returns the call that met data which is wrong, and its place.

        `seed`, `step`: of random draws."""
        device = self.device
        self.weights.push()
        state = np.zeros(1, STREAM_STATE)
        state[0] = ((seed & 0xFFFFFFFF, seed >> 32), step)
        device.write(self._stream.address, state.view(np.uint8))
        calls = self.faults[entry]
        words = np.full(len(calls), NO_FAULT, np.int32)
        if calls:
            device.write(self._fault_words[entry].address, words.view(np.uint8))
        commands, has_host = self._commands[entry]

        def queue() -> None:
            for command in commands:
                command()

        device.run(self._keys[entry], queue, has_host)
        device.synchronize()
        if entry in self._learns:
            self.weights.ran()
        if calls:
            device.read(words.view(np.uint8), self._fault_words[entry].address)
        wrong = [
            (call, int(word)) for call, word in zip(calls, words, strict=True) if word < NO_FAULT
        ]
        return wrong[0] if wrong else None

    def get(self, buffer: int) -> npt.NDArray[Any]:
        """A new array of what a buffer that has a home holds."""
        return read(self.device, self.program.buffers[buffer], self._home(buffer))

    def put(self, buffer: int, array: Held | npt.NDArray[Any]) -> None:
        """Fill the first elements of a buffer that has a home, and no gaps."""
        held = array if isinstance(array, np.ndarray) else as_array(array)
        dtype = DTYPES[self.program.buffers[buffer].dtype]
        with np.errstate(over="ignore", invalid="ignore"):
            told = np.ascontiguousarray(held, dtype)
        if told.size:
            self.device.write(self._home(buffer), told.reshape(-1).view(np.uint8))

    def _home(self, buffer: int) -> int:
        root, inner = self.program.buffers[buffer].view_of or (buffer, 0)
        return self._address(root, *self.plan.homes[root]) + inner

    def _address(self, root: int, arena: int, offset: int) -> int:
        """Of a root on the device; `root` -1: a workspace."""
        if root >= 0 and self.plan.arenas[arena].name == WEIGHTS:
            mirror, name = self.weights.mirror(self.program.buffers[root].name)
            return mirror.address(name)
        if arena not in self.arenas:
            fail("GC-A001", f"the plan computes with what is in host arena {arena}")
        return self.arenas[arena].address + offset

    def _on_host(self, root: int, arena: int, offset: int) -> Bytes:
        buffer = self.program.buffers[root]
        if buffer.kind in PERSISTENT:
            mirror, name = self.weights.mirror(buffer.name)
            return mirror.bytes_of(name)
        return self._hosts[arena][offset : offset + buffer.nbytes]

    def _bound(self, entry: str, launches: list[Launch]) -> tuple[list[Command], bool]:
        """The commands of an entry, in the plan's order; and is one of them a host step?"""
        device, plan, program = self.device, self.plan, self.program
        first, end = plan.entries[entry]
        steps = plan.steps[first:end]
        runs = [step for step in steps if step.kind is StepKind.RUN]
        for step in steps:
            if (step.kind is StepKind.RUN) != (step.stream == 0):
                fail("GC-A001", f"the plan has a step that target {plan.target!r} cannot do")
        places = {id(s): places_of(program, s, self._locate) for s in runs}
        poison = self._poison(end, runs, places)
        faulty = [c for s in runs for c in [program.calls[s.call]] if self._can_fail(s, c)]
        self.faults[entry] = faulty
        words = self._fault_words[entry] = device.arena(max(LINE, 4 * len(faulty)))
        fault, has_host = 0, False
        commands: list[Command] = []
        known = {s.records for s in steps}
        for step in steps:
            commands += [partial(device.wait, e, step.stream) for e in step.waits if e in known]
            if step.kind is StepKind.RUN:
                before, after = poison.get(id(step), ([], []))
                call, own = program.calls[step.call], places[id(step)]
                commands += before
                given = {STREAM.name: self._stream.address, NULL.name: 0}
                given[FAULT.name] = words.address + 4 * fault
                fault += self._can_fail(step, call)
                has_host |= self._symbol(step, call) == HOST
                commands += self._run_step(step, call, own, given, launches)
                commands += after
            else:
                commands.append(self._copy(step))
            if step.records is not None:
                commands.append(partial(device.record, step.records, step.stream))
        last = max((s.records for s in plan.steps if s.records is not None), default=-1)
        for stream in range(1, STREAMS):
            if any(step.stream == stream for step in steps):
                commands.append(partial(device.record, last + stream, stream))
                commands.append(partial(device.wait, last + stream, 0))
        return commands, has_host

    def _locate(self, root: int, arena: int, offset: int) -> tuple[int, int]:
        return 0, self._address(root, arena, offset)

    def _poison(
        self, end: int, runs: list[Step], places: Mapping[int, list[Place]]
    ) -> dict[int, tuple[list[Command], list[Command]]]:
        if not self.device.poisons:
            return {}
        plan, program = self.plan, self.program
        later = [program.calls[s.call] for s in plan.steps[end:] if s.kind is StepKind.RUN]
        moved = {p.buffer for s in plan.steps if s.kind is not StepKind.RUN for p in s.operands}
        own = [program.calls[s.call] for s in runs]
        ranges = poison_ranges(program, own, [places[id(s)] for s in runs], later, moved)
        found: dict[int, tuple[list[Command], list[Command]]] = {}
        for step, (before, after) in zip(runs, ranges, strict=True):
            if step.workspace is not None:
                call = program.calls[step.call]
                nbytes = call.variants[step.variant].workspace_bytes
                before = [*before, (0, self._address(-1, *step.workspace), nbytes)]
            found[id(step)] = self._poisoning(before), self._poisoning(after)
        return found

    def _poisoning(self, ranges: list[Place]) -> list[Command]:
        return [partial(self.device.poison, at, nbytes, 0) for _, at, nbytes in ranges]

    @staticmethod
    def _symbol(step: Step, call: Call) -> str:
        return call.variants[step.variant].symbol

    def _can_fail(self, step: Step, call: Call) -> bool:
        symbol = self._symbol(step, call)
        works = work_of(self.program, call, symbol).launches if symbol in symbols() else ()
        return any(FAULT in launch.args for launch in works)

    def _run_step(
        self,
        step: Step,
        call: Call,
        places: list[Place],
        given: Mapping[str, int],
        launches: list[Launch],
    ) -> list[Command]:
        symbol, device = self._symbol(step, call), self.device
        addresses = [at for _, at, _ in places]
        if symbol == HOST:
            return [partial(device.call_host, partial(self._run_host, call, addresses), 0)]
        scratch = 0
        if call.variants[step.variant].workspace_bytes:
            if step.workspace is None:
                fail("GC-A001", f"the plan has no workspace for {call.name!r}")
            scratch = self._address(-1, *step.workspace)
        if symbol not in symbols():
            specs = [spec(self.program.buffers[o.buffer]) for o in (*call.reads, *call.writes)]
            operands, count = [*zip(specs, addresses, strict=True)], len(call.reads)
            told = operands[:count], operands[count:]
            kernel = call.variants[0].symbol  # the raw one
            return [partial(device.library(symbol, kernel, call.attrs, *told, scratch), 0)]
        commands: list[Command] = []
        for launch in work_of(self.program, call, symbol).launches:
            args = [_argument(arg, addresses, scratch, given) for arg in launch.args]
            launches.append(launch)
            commands.append(partial(device.launch, launch, args, 0))
        return commands

    def _copy(self, step: Step) -> Command:
        """A transfer: the bytes of a root buffer in a row."""
        source, target = step.operands
        nbytes = self.program.buffers[source.buffer].nbytes
        inwards = step.kind is StepKind.IN
        host, there = (source, target) if inwards else (target, source)
        memory = self._on_host(host.buffer, host.arena, host.offset)[:nbytes]
        address = self._address(there.buffer, there.arena, there.offset)
        if inwards:
            return partial(self.device.copy_in, address, memory, step.stream)
        return partial(self.device.copy_out, memory, address, step.stream)

    def _run_host(self, call: Call, addresses: list[int]) -> None:
        """A host step: operands come to the host, results go back."""
        operands = (*call.reads, *call.writes)
        buffers = [self.program.buffers[operand.buffer] for operand in operands]
        places = [*zip(buffers, addresses, strict=True)]
        arrays = [read(self.device, *place) for place in places]
        self._host(call, arrays)
        count = len(call.reads)
        for array, place in zip(arrays[count:], places[count:], strict=True):
            write(self.device, array, *place)


def _argument(arg: Any, addresses: list[int], scratch: int, given: Mapping[str, int]) -> Argument:
    if isinstance(arg, Operand):
        return addresses[arg.index] + arg.offset
    if isinstance(arg, Scratch):
        return scratch + arg.offset
    if isinstance(arg, Given):
        return given[arg.name]
    told: Argument = arg
    return told


def _memories(
    device: Device, arenas: tuple[Arena, ...], free: tuple[tuple[int, Memory], ...]
) -> tuple[dict[int, Memory], int]:
    """Memory for device arenas but that of what persists, by number: what is free if it is large
    enough; and the bytes that are new."""
    found: dict[int, Memory] = {}
    new = 0
    for at, arena in enumerate(arenas):
        if arena.is_host or arena.name == WEIGHTS:
            continue
        if arena.name == WORK and free and free[0][0] >= arena.nbytes:
            found[at] = free[0][1]
        else:
            found[at] = device.arena(arena.nbytes)
            new += arena.nbytes
    return found, new


__all__ = ["Loaded"]
