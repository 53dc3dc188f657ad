"""FLOPs of a JAX primitive, by the convention of `flops`."""

import math

import jax.numpy as jnp

_ARITHMETIC = frozenset(
    "abs acos add add_any asin atan atan2 cbrt cos cosh div erf erf_inv erfc exp exp2 "
    "expm1 integer_pow log log1p logistic max min mul neg pow rem rsqrt sign sin sinh "
    "sqrt square sub tan tanh".split()
)
_REDUCTIONS = frozenset(
    "cumprod cumsum reduce_max reduce_min reduce_prod reduce_sum".split()
)


def _taps(size, out, kernel, stride, padding, dilation, spacing) -> int:
    """Pairs of an output and a tap of a window, along an axis, that meet an element."""
    return sum(
        position % dilation == 0
        for o in range(out)
        for k in range(kernel)
        if 0
        <= (position := o * stride + k * spacing - padding)
        <= (size - 1) * dilation
    )


def _convolution(equation) -> float:
    params = equation.params
    numbers = params["dimension_numbers"]
    image, kernel = (x.aval.shape for x in equation.invars)
    out = equation.outvars[0].aval.shape
    sides = zip(
        [image[i] for i in numbers.lhs_spec[2:]],
        [out[i] for i in numbers.out_spec[2:]],
        [kernel[i] for i in numbers.rhs_spec[2:]],
        params["window_strides"],
        [low for low, _ in params["padding"]],
        params["lhs_dilation"],
        params["rhs_dilation"],
    )
    windows = math.prod(_taps(*side) for side in sides)
    batch, features = (out[i] for i in numbers.out_spec[:2])
    return 2.0 * batch * features * kernel[numbers.rhs_spec[1]] * windows


def flops(equation) -> float:
    """FLOPs of one equation of a jaxpr, once."""
    name = equation.primitive.name
    if name == "conv_general_dilated":
        return _convolution(equation)
    result = equation.outvars[0].aval if equation.outvars else None
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2.0 * result.size * math.prod(shape[i] for i in contracted)
    if result is None or not jnp.issubdtype(result.dtype, jnp.floating):
        return 0.0
    if name in _REDUCTIONS:
        return float(equation.invars[0].aval.size)
    return float(result.size) if name in _ARITHMETIC else 0.0
