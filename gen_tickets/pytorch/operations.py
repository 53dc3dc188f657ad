"""Translates operations of a JAX program to lines of PyTorch."""

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gen_tickets.errors import UserError


class Number(str):
    """The text of a scalar constant; it stands for an array of any shape.

    Attributes:
      value: of the constant, a NumPy scalar or an array of no axes.
    """

    value: Any


class Writer:
    """Writes operations as lines `x_1 = ...`; the first axis of `size` is the batch."""

    def __init__(self, lines: list[str], size: int):
        self._lines, self._size = lines, size
        self._count = 0

    def run(self, program: Any, arguments: Sequence[str]) -> list[str]:
        """Writes a closed jaxpr; returns expressions of its outputs."""
        inner = program.jaxpr
        known = dict(zip(inner.invars, arguments, strict=True))
        known |= zip(inner.constvars, map(_number, program.consts), strict=True)

        def text(atom: Any) -> str:
            return _number(atom.val) if hasattr(atom, "val") else known[atom]

        for equation in inner.eqns:
            inputs = [text(x) for x in equation.invars]
            known |= zip(equation.outvars, self._operation(equation, inputs))
        return [text(x) for x in inner.outvars]

    def _operation(self, equation: Any, inputs: list[str]) -> list[str]:
        for key in ("call_jaxpr", "jaxpr"):
            if key in equation.params:
                return self.run(equation.params[key], inputs)
        name = equation.primitive.name
        if _is_constant(equation, inputs):
            values = [x.value for x in inputs if isinstance(x, Number)]
            return [_number(equation.primitive.bind(*values, **equation.params))]
        if name not in _OF_NUMBERS and name not in OPERATIONS:
            inputs = [self._tensor(*pair) for pair in zip(inputs, equation.invars)]
        if name in OPERATIONS:
            expression = OPERATIONS[name].format(*inputs)
        elif name in _WRITERS:
            expression = _WRITERS[name](self, equation, *inputs)
        else:
            raise UserError(name, "has no PyTorch counterpart", "give another --format")
        if expression in inputs:
            return [inputs[inputs.index(expression)]]  # a number stays one
        self._count += 1
        self._lines.append(f"x_{self._count} = {expression}")
        return [f"x_{self._count}"]

    def _tensor(self, text: str, atom: Any) -> str:
        """A tensor for an operation that cannot use a number in its place."""
        sizes = atom.aval.shape
        if not isinstance(text, Number) or not sizes:
            return text
        return f"x.new_full(({self.lengths(sizes)},), {text})"

    def lengths(self, sizes: Sequence[int]) -> str:
        """Sizes as arguments, the length of the input for the batch."""
        is_batch = bool(sizes) and sizes[0] == self._size
        return ", ".join(map(str, ["len(x)", *sizes[1:]] if is_batch else sizes))

    def shape(self, sizes: Sequence[int]) -> str:
        """Sizes as arguments, -1 for the batch."""
        is_batch = bool(sizes) and sizes[0] == self._size
        return ", ".join(map(str, [-1, *sizes[1:]] if is_batch else sizes))


def _is_constant(equation: Any, inputs: Sequence[str]) -> bool:
    """Whether an operation has one number as its result, known here."""
    shapes = [x.aval.shape for x in equation.outvars]
    return shapes == [()] and all(isinstance(x, Number) for x in inputs)


def _number(value: Any) -> Number:
    """A constant of a program.

    Raises:
      UserError: it is an array.
    """
    if np.ndim(value) > 0:
        raise UserError("constant", "is an array", "give another --format")
    number = np.asarray(value).item()
    text = Number(repr(number) if math.isfinite(number) else f'float("{number}")')
    text.value = np.asarray(value)
    return text


def _conv(writer: Writer, equation: Any, x: str, kernel: str) -> str:
    options = equation.params
    layout = tuple(options["dimension_numbers"])
    plain = layout == ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    groups = options["feature_group_count"] * options["batch_group_count"]
    if not plain or groups > 1 or set(options["rhs_dilation"]) != {1}:
        raise UserError("convolution", "is grouped or dilated", "give another --format")
    strides, (rows, columns) = tuple(options["window_strides"]), options["padding"]
    spread = tuple(options["lhs_dilation"])
    if set(spread) == {1}:
        padding = (*columns, *rows)
        return f"conv({x}, {kernel}, {strides}, {padding})"
    if set(strides) != {1}:
        raise UserError(
            "convolution", "has strides in and out", "give another --format"
        )
    height, width = equation.invars[1].aval.shape[:2]
    padding = tuple(
        added + 1 - size
        for size, sides in ((width, columns), (height, rows))
        for added in sides
    )
    return f"conv_transpose({x}, {kernel}, {spread}, {padding})"


def _product(writer: Writer, equation: Any, a: str, b: str) -> str:
    (contract_a, contract_b), (batch_a, batch_b) = equation.params["dimension_numbers"]
    letters = iter(string.ascii_letters)
    names = [[next(letters) for _ in x.aval.shape] for x in equation.invars]
    for i, j in (*zip(contract_a, contract_b), *zip(batch_a, batch_b)):
        names[1][j] = names[0][i]
    batch = [names[0][i] for i in batch_a]
    free = [x for of, other in (names, names[::-1]) for x in of if x not in other]
    left, right, out = ("".join(x) for x in (*names, batch + free))
    if (left, right, out) == ("ab", "bd", "ad"):
        return f"{a} @ {b}"
    return f'torch.einsum("{left},{right}->{out}", {a}, {b})'


def _broadcast(writer: Writer, equation: Any, x: str, *_: str) -> str:
    sizes, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    operand = equation.invars[0].aval.shape
    if not operand:  # a number fits any shape
        return x
    kept = [1] * len(sizes)
    for axis, size in zip(axes, operand):
        kept[axis] = size
    reshaped = f"{x}.reshape({writer.shape(kept)})"
    if tuple(kept) == tuple(sizes):
        return reshaped
    return f"{reshaped}.expand({writer.lengths(sizes)})"


def _slice(writer: Writer, equation: Any, x: str) -> str:
    options = equation.params
    steps = options["strides"] or (1,) * len(options["start_indices"])
    parts = []
    sizes = equation.invars[0].aval.shape
    bounds = zip(options["start_indices"], options["limit_indices"], steps, sizes)
    for low, high, step, size in bounds:
        end = "" if high == size else str(high)
        parts.append(f"{low or ''}:{end}" + (f":{step}" if step > 1 else ""))
    return f"{x}[{', '.join(parts)}]"


def _maximum(writer: Writer, equation: Any, a: str, b: str) -> str:
    if isinstance(a, Number):
        a, b = b, a
    if b == "0.0":
        return f"torch.relu({a})"
    if isinstance(b, Number):
        return f"{a}.clamp(min={b})"
    return f"torch.maximum({a}, {b})"


def _convert(writer: Writer, equation: Any, x: str) -> str:
    if isinstance(x, Number):
        return x
    return f"{x}.to(torch.{jnp.dtype(equation.params['new_dtype']).name})"


def _reshape(writer: Writer, equation: Any, x: str, *_: str) -> str:
    return f"{x}.reshape({writer.shape(equation.outvars[0].aval.shape)})"


def _select(writer: Writer, equation: Any, which: str, *cases: str) -> str:
    if isinstance(which, Number):
        return cases[int(which.value)]
    if len(cases) != 2:
        raise UserError("select_n", f"of {len(cases)} cases", "give another --format")
    return f"torch.where({which}, {cases[1]}, {cases[0]})"


def _over(method: str) -> Callable[..., str]:
    def write(writer: Writer, equation: Any, x: str) -> str:
        return f"{x}.{method}({tuple(equation.params['axes'])})"

    return write


OPERATIONS = {
    **{name: f"torch.{name}({{}})" for name in ("exp", "log", "sqrt", "rsqrt", "abs")},
    **{name: f"torch.{name}({{}})" for name in ("tanh", "sin", "cos", "erf", "square")},
    "add": "{} + {}",
    "add_any": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "pow": "torch.pow({}, {})",
    "neg": "-{}",
    "ge": "{} >= {}",
    "gt": "{} > {}",
    "le": "{} <= {}",
    "lt": "{} < {}",
    "logistic": "torch.sigmoid({})",
    "stop_gradient": "{}",
    "copy": "{}",
}
_WRITERS: dict[str, Callable[..., str]] = {
    "conv_general_dilated": _conv,
    "dot_general": _product,
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "max": _maximum,
    "select_n": _select,
    "convert_element_type": _convert,
    "reshape": _reshape,
    "squeeze": _reshape,
    "reduce_sum": _over("sum"),
    "reduce_max": _over("amax"),
    "transpose": lambda writer, equation, x: (
        f"{x}.permute({tuple(equation.params['permutation'])})"
    ),
    "integer_pow": lambda writer, equation, x: f"{x} ** {equation.params['y']}",
    "concatenate": lambda writer, equation, *x: (
        f"torch.cat(({', '.join(x)}), {equation.params['dimension']})"
    ),
}
# Operations of _WRITERS whose arguments may be numbers, of any shape.
_OF_NUMBERS = ("broadcast_in_dim", "convert_element_type", "max", "select_n")
