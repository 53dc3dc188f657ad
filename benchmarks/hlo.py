"""The cost of a compiled TPU program, from its optimized HLO text.

XLA:TPU annotates every fusion and synchronous copy with the core cycles that it expects
("estimated_cycles"), and every shape with its layout: its tiles, and whether it is on
the chip (memory space 1, VMEM) or in HBM. From these:

- cycles by category. A core runs one instruction after another, so they add up.
  Concurrent transfers between HBM and VMEM (copy-start, slice-start) are not included.
- bytes moved from and to HBM, including the padding of tiles. XLA's own count,
  `cost_analysis`, includes accesses to VMEM and ignores padding.

The training loop is the only loop whose number of iterations the program does not know;
loops inside it count as often as they run. Everything around it, such as copies into
other layouts, is the cost of a call, for any number of steps.
"""

import math
import re
from typing import NamedTuple

KINDS = ("convolution", "copy", "other")

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_BYTES |= {"f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "u64": 8}
_COMPUTATION = re.compile(r"^(ENTRY )?%(\S+) \(.*\{$")
_INSTRUCTION = re.compile(
    r"^\s+(ROOT )?%(\S+) = (\(.*?\)|[^\s(]\S*) ([a-z][\w-]*)\(([^)]*)\)(.*)$"
)
_ARRAY = re.compile(
    r"(\w+)\[([\d,]*)\](?:\{([\d,]*)(?::T\((\d+)(?:,(\d+))?\))?([^}]*)\})?"
)
_ON_CHIP = "S(1)"
_SLICES = frozenset(("dynamic-slice", "gather", "slice"))
# Views, the waiting for what was counted when it started, and markers of the compiler.
_FREE = frozenset(
    "after-all bitcast constant copy-done custom-call get-tuple-element parameter "
    "partition-id slice-done tuple".split()
)


class Cost(NamedTuple):
    """Of a part of a program."""

    cycles: dict[str, float]  #: of each of KINDS
    hbm_bytes: float

    def plus(self, other: "Cost", times: float = 1.0) -> "Cost":
        """This, and `times` as much of another."""
        cycles = {k: self.cycles[k] + times * other.cycles[k] for k in KINDS}
        return Cost(cycles, self.hbm_bytes + times * other.hbm_bytes)


_NOTHING = Cost(dict.fromkeys(KINDS, 0.0), 0.0)


class _Instruction(NamedTuple):
    name: str
    shape: str
    opcode: str
    arguments: str
    attributes: str
    is_root: bool

    @property
    def operands(self) -> list[str]:
        return re.findall(r"%([^\s,]+)", self.arguments)

    def computation(self, role: str) -> str:
        """The computation that it calls as `role`; '' where there is none."""
        found = re.search(rf"\b{role}=%([^\s,}}]+)", self.attributes)
        return found[1] if found else ""


def array_sizes(shape: str) -> list[tuple[float, bool]]:
    """(bytes with tiles filled up, whether on the chip) of each array of a shape."""
    found = []
    for kind, sizes, order, rows, columns, rest in _ARRAY.findall(shape):
        if kind not in _BYTES or "S(2)" in rest:  # S(2): a semaphore
            continue
        lengths = [int(n) for n in sizes.split(",") if n]
        tile = [int(columns), int(rows)] if columns else [int(rows or 1)]
        for axis, multiple in zip(order.split(",") if order else (), tile):
            lengths[int(axis)] = -(-lengths[int(axis)] // multiple) * multiple
        found.append((float(math.prod(lengths) * _BYTES[kind]), _ON_CHIP in rest))
    return found


def _parse(text: str) -> tuple[dict[str, list[_Instruction]], str]:
    """-> ({computation: its instructions}, name of the entry)."""
    computations: dict[str, list[_Instruction]] = {}
    current = entry = ""
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            current = header[2]
            computations[current] = []
            entry = current if header[1] else entry
        elif current and (found := _INSTRUCTION.match(line)):
            computations[current].append(
                _Instruction(*found.groups()[1:], bool(found[1]))
            )
    return computations, entry


class _Program:
    def __init__(self, text: str):
        self.computations, self.entry = _parse(text)
        self.shapes = {
            instruction.name: instruction.shape
            for instructions in self.computations.values()
            for instruction in instructions
        }
        self.step = _NOTHING  # of the training loop, once it is met

    def cost(self, computation: str) -> Cost:
        """Of a computation without the steps of the training loop."""
        total = _NOTHING
        for instruction in self.computations[computation]:
            if instruction.opcode == "while":
                rounds = self._rounds(instruction.computation("condition"))
                body = self.cost(instruction.computation("body"))
                if rounds:
                    total = total.plus(body, rounds)
                else:
                    self.step = body
            elif instruction.opcode == "call":
                total = total.plus(self.cost(instruction.computation("to_apply")))
            elif instruction.opcode not in _FREE:
                total = total.plus(self._own(instruction))
        return total

    def _rounds(self, condition: str) -> int:
        """The constant that a loop counts to; 0 where there is none."""
        instructions = self.computations[condition]
        return sum(int(i.arguments) for i in instructions if i.opcode == "constant")

    def _own(self, instruction: _Instruction) -> Cost:
        if self._multiplies(instruction):
            kind = "convolution"
        else:
            kind = "copy" if instruction.opcode == "copy" else "other"
        found = re.search(r'"estimated_cycles":"(\d+)"', instruction.attributes)
        cycles = dict.fromkeys(KINDS, 0.0) | {kind: float(found[1]) if found else 0.0}
        return Cost(cycles, self._hbm_bytes(instruction))

    def _multiplies(self, instruction: _Instruction) -> bool:
        """Whether it is a convolution or product, or a fusion with one in it."""
        if instruction.opcode == "fusion":
            inside = self.computations[instruction.computation("calls")]
            return any(map(self._multiplies, inside))
        return instruction.opcode in ("convolution", "dot")

    def _hbm_bytes(self, instruction: _Instruction) -> float:
        arrays = array_sizes(instruction.shape)
        if instruction.opcode.endswith("-start"):  # a whole and what is moved of it
            moved = min(size for size, _ in arrays)
            return 0.0 if all(on_chip for _, on_chip in arrays) else moved
        read = 0.0
        for place, operand in enumerate(instruction.operands):
            size = _in_hbm(self.shapes[operand])
            read += self._read(instruction, place, size) if size else 0.0
        return read + self._written(instruction, _in_hbm(instruction.shape))

    def _read(self, instruction: _Instruction, place: int, size: float) -> float:
        """Bytes that are read of the operand at a place, which has `size`."""
        if place == 0 and instruction.opcode in _SLICES:
            return min(size, _all(instruction.shape))
        if place == 0 and instruction.opcode == "dynamic-update-slice":
            return 0.0
        if instruction.opcode != "fusion":
            return size
        inside = self.computations[instruction.computation("calls")]
        parameter = next(
            i.name
            for i in inside
            if i.opcode == "parameter" and i.arguments == str(place)
        )
        return min(size, self._read_inside(inside, parameter, size))

    def _read_inside(self, inside, value: str, size: float) -> float:
        total = 0.0
        for user in inside:
            for place, operand in enumerate(user.operands):
                if operand == value and user.opcode == "bitcast":
                    total += self._read_inside(inside, user.name, size)
                elif operand == value:
                    total += self._read(user, place, size)
        return total

    def _written(self, instruction: _Instruction, size: float) -> float:
        """Bytes that are written; of an update in place, what is updated."""
        if size and instruction.opcode == "dynamic-update-slice":
            return min(size, _all(self.shapes[instruction.operands[1]]))
        if not size or instruction.opcode != "fusion":
            return size
        inside = self.computations[instruction.computation("calls")]
        root = next(i for i in inside if i.is_root)
        return size if root.opcode == "tuple" else self._written(root, size)


def _in_hbm(shape: str) -> float:
    return sum(size for size, on_chip in array_sizes(shape) if not on_chip)


def _all(shape: str) -> float:
    return sum(size for size, _ in array_sizes(shape))


def costs(text: str) -> tuple[Cost, Cost]:
    """Reads a compiled TPU program.

    Args:
      text: optimized HLO, as `jax.stages.Compiled.as_text` gives it.

    Returns:
      (of one step of the training loop, of a call besides its steps).
    """
    program = _Program(text)
    call = program.cost(program.entry)
    return program.step, call
