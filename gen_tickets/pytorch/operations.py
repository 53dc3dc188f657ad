"""Translates operations of a JAX program to lines of PyTorch."""

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gen_tickets.errors import UserError


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
        if name in OPERATIONS:
            expression = OPERATIONS[name].format(*inputs)
        elif name in _WRITERS:
            expression = _WRITERS[name](self, equation, *inputs)
        else:
            raise UserError(name, "has no PyTorch counterpart", "give another --format")
        if expression in inputs:
            return [expression]
        self._count += 1
        self._lines.append(f"x_{self._count} = {expression}")
        return [f"x_{self._count}"]

    def shape(self, sizes: Sequence[int]) -> str:
        """Sizes as arguments, -1 for the batch."""
        is_batch = bool(sizes) and sizes[0] == self._size
        return ", ".join(map(str, [-1, *sizes[1:]] if is_batch else sizes))


def _number(value: Any) -> str:
    """A constant of a program.

    Raises:
      UserError: it is an array.
    """
    if np.ndim(value) > 0:
        raise UserError("constant", "is an array", "give another --format")
    number = np.asarray(value).item()
    return repr(number) if math.isfinite(number) else f'float("{number}")'


def _is_tensor(x: str) -> bool:
    """Whether an expression is a tensor, not a number from `_number`."""
    return x.isidentifier() or x.startswith("self.")


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
    sides = equation.invars[1].aval.shape[:2]
    cropped = tuple(k - 1 - low for k, (low, _) in zip(sides, (rows, columns)))
    extra = tuple(high - low for low, high in (rows, columns))
    return f"conv_transpose({x}, {kernel}, {spread}, {cropped}, {extra})"


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
    return f"{reshaped}.expand({writer.shape(sizes)})"


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
    if b == "0.0":
        return f"torch.relu({a})"
    return f"torch.maximum({a}, {b})" if _is_tensor(b) else f"{a}.clamp(min={b})"


def _convert(writer: Writer, equation: Any, x: str) -> str:
    if not _is_tensor(x):
        return x
    return f"{x}.to(torch.{jnp.dtype(equation.params['new_dtype']).name})"


def _reshape(writer: Writer, equation: Any, x: str, *_: str) -> str:
    return f"{x}.reshape({writer.shape(equation.outvars[0].aval.shape)})"


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
    "pow": "{} ** {}",
    "neg": "-{}",
    "ge": "{} >= {}",
    "gt": "{} > {}",
    "le": "{} <= {}",
    "lt": "{} < {}",
    "logistic": "torch.sigmoid({})",
    "select_n": "torch.where({0}, {2}, {1})",
    "stop_gradient": "{}",
    "copy": "{}",
}
_WRITERS: dict[str, Callable[..., str]] = {
    "conv_general_dilated": _conv,
    "dot_general": _product,
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "max": _maximum,
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
