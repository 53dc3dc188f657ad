"""One operation of a program, and its FLOPs (convention: `evaluation.flops`)."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

# FLOPs per element of the result.
_ARITHMETIC = dict.fromkeys(
    "abs acos add add_any asin atan atan2 cbrt cos cosh div erf erf_inv erfc exp exp2 "
    "expm1 integer_pow log log1p log2 logistic max min mul neg pow rem rsqrt sign sin "
    "sinh sqrt square sub tan tanh".split(),
    1,
) | {
    "one_minus_square": 3
}  # (1 + x) * (1 - x)
_REDUCTIONS = frozenset(
    "cumprod cumsum reduce_max reduce_min reduce_prod reduce_sum".split()
)
PRODUCTS = frozenset(("conv_general_dilated", "dot_general"))


class Value:
    """An operand or result of an operation; compared by identity."""

    __slots__ = ("shape", "dtype")

    def __init__(self, aval: object) -> None:
        """Takes shape and type from an abstract value, if it is an array."""
        self.shape = getattr(aval, "shape", ())
        self.dtype = getattr(aval, "dtype", None)

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Operation(NamedTuple):
    """A primitive applied to values, and how many times it runs."""

    name: str
    params: Mapping[str, Any]
    inputs: list[Value]
    outputs: list[Value]
    times: float

    def flops(self) -> float:
        """FLOPs of all its executions.

        Raises:
          ValueError: the length of a loop is known only at run time.
        """
        return self.times * self._flops_once()

    def _flops_once(self) -> float:
        if self.name == "while":
            raise ValueError("a loop whose number of rounds is known only when it runs")
        if self.name == "conv_general_dilated":
            return self._of_convolution()
        if self.name == "dot_general":
            return self._of_product()
        if not self.outputs or not _is_float(self.outputs[0]):
            return 0.0
        if self.name in _REDUCTIONS:
            return float(self.inputs[0].size)
        return float(self.outputs[0].size * _ARITHMETIC.get(self.name, 0))

    def _of_product(self) -> float:
        (contracted, _), _ = self.params["dimension_numbers"]
        terms = math.prod(self.inputs[0].shape[i] for i in contracted)
        return 2.0 * self.outputs[0].size * terms

    def _of_convolution(self) -> float:
        numbers = self.params["dimension_numbers"]
        image, kernel = (x.shape for x in self.inputs)
        out = self.outputs[0].shape
        sides = zip(
            [image[i] for i in numbers.lhs_spec[2:]],
            [out[i] for i in numbers.out_spec[2:]],
            [kernel[i] for i in numbers.rhs_spec[2:]],
            self.params["window_strides"],
            [low for low, _ in self.params["padding"]],
            self.params["lhs_dilation"],
            self.params["rhs_dilation"],
        )
        windows = math.prod(_taps(*side) for side in sides)
        batch, features = (out[i] for i in numbers.out_spec[:2])
        return 2.0 * batch * features * kernel[numbers.rhs_spec[1]] * windows


def _is_float(value: Value) -> bool:
    return value.dtype is not None and jnp.issubdtype(value.dtype, jnp.floating)


def _taps(
    size: int,
    out: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    spacing: int,
) -> int:
    """Pairs of output and tap along an axis that read an element, not padding."""
    return sum(
        position % dilation == 0
        for o in range(out)
        for k in range(kernel)
        if 0
        <= (position := o * stride + k * spacing - padding)
        <= (size - 1) * dilation
    )
