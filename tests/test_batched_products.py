"""Convolutions as one product on the patches of a batch, against the library."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from gen_tickets.kernels import convolutions
from gen_tickets.kernels.lowering import LIBRARY, Lowering

_BATCHED = Lowering("batched_product", "batched_product")
# kernel, strides, padding, image side
_CASES = [
    ((4, 4), (2, 2), ((1, 1), (1, 1)), (8, 6)),
    ((3, 2), (2, 1), ((1, 2), (0, 1)), (7, 5)),
    ((4, 4), (1, 1), ((0, 0), (0, 0)), (4, 4)),
    ((1, 1), (2, 2), ((0, 0), (0, 0)), (5, 6)),
]
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def _library(name, x, k, strides, padding):
    function = lax.conv_transpose
    if name == "conv":
        function = lax.conv_general_dilated
    return function(x, k, strides, padding, dimension_numbers=_DIMENSIONS)


def _draw(*shape, seed=0):
    return jax.random.normal(jax.random.fold_in(jax.random.key(1), seed), shape)


def _value_and_gradients(operator, x, k):
    y, pull = jax.vjp(operator, x, k)
    return y, *pull(_draw(*y.shape, seed=2))


def _assert_near(ours, reference, tolerance=1e-5):
    for a, b in zip(ours, reference, strict=True):
        assert a.shape == b.shape and a.dtype == jnp.float32
        assert float(abs(a - b).max()) <= tolerance * float(abs(b).max())


@pytest.mark.parametrize("case", _CASES)
@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
@pytest.mark.parametrize("members", [(), (3,)], ids=["alone", "vmapped"])
def test_conv_batched_product_and_gradients_equal_library(name, case, members):
    kernel, strides, padding, sides = case
    x = _draw(*members, 3, *sides, 2)
    k = _draw(*members, *kernel, 2, 5, seed=1)
    static = {"strides": strides, "padding": padding}
    ours = partial(getattr(convolutions, name), lowering=_BATCHED, **static)
    functions = (
        partial(_value_and_gradients, operator)
        for operator in (ours, partial(_library, name, **static))
    )
    over_members = jax.vmap if members else lambda function: function
    _assert_near(*(jax.jit(over_members(f))(x, k) for f in functions))


def test_conv_under_vmap_compiles_to_one_batched_dot():
    conv = partial(convolutions.conv, lowering=Lowering("library", "batched_product"))
    x, k = _draw(2, 3, 6, 6, 2), _draw(2, 3, 3, 2, 5, seed=1)
    program = jax.jit(jax.vmap(conv)).lower(x, k).as_text()
    assert program.count("stablehlo.dot_general") == 1
    assert "batching_dims = [0] x [0]" in program
    assert "stablehlo.convolution" not in program and "stablehlo.while" not in program


def test_conv_second_derivative_under_vmap_equals_library():
    x, k = _draw(2, 3, 4, 4, 2), _draw(2, 3, 3, 2, 5, seed=1)

    def penalty(x, k, lowering):
        def norm(x):
            y = convolutions.conv(x, k, lowering=lowering)
            return jnp.square(jnp.square(y).sum()) * 1e-4

        return jnp.square(jax.grad(norm)(x)).sum()

    def gradients(lowering):
        function = jax.grad(partial(penalty, lowering=lowering), argnums=(0, 1))
        return jax.jit(jax.vmap(function))(x, k)

    _assert_near(gradients(_BATCHED), gradients(LIBRARY))
