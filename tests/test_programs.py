"""Programs: loops, branches and calls of a jaxpr as one list of operations."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from gen_tickets.evaluation import programs

A = jnp.zeros((3, 4))


def operations(function, *arguments):
    """{primitive: how often it runs}"""
    found = {}
    program = programs.Program(jax.make_jaxpr(function)(*arguments))
    for x in program.operations:
        found[x.name] = found.get(x.name, 0) + x.times
    return found


def test_program_scan_counts_body_once_per_slice():
    def step(carry, x):
        return carry + jnp.sin(x), jnp.cos(x * carry)

    found = operations(lambda c, xs: lax.scan(step, c, xs), A[0], A)
    assert found == {"carry": 3, "sin": 3, "add": 3, "mul": 3, "cos": 3}


def test_program_nested_loop_multiplies_iteration_counts():
    def inner(_, x):
        return jnp.sin(x)

    def outer(_, x):
        return lax.fori_loop(0, 5, inner, x)

    assert operations(lambda x: lax.fori_loop(0, 4, outer, x), A)["sin"] == 20


def test_program_unused_carry_and_its_inputs_are_left_out():
    def step(carry, x):
        total, unused, feeds = carry
        return (total + x + jnp.tan(feeds), jnp.sin(unused), jnp.cos(feeds)), None

    def function(xs):
        (total, _, _), _ = lax.scan(step, (0.0, 1.0, 2.0), xs)
        return total

    found = operations(function, jnp.zeros(7))
    # `feeds` reaches the total one iteration later; the sine of `unused` never does.
    assert found["cos"] == found["tan"] == 7 and "sin" not in found


def test_program_unused_gradient_is_left_out():
    def loss(x, k):
        return jnp.sum(x @ k)

    def gradient(x, k):
        return jax.grad(loss, (0, 1))(x, k)[1]

    assert operations(gradient, A, A.T)["dot_general"] == 1


def test_program_nested_calls_are_inlined():
    @jax.custom_vjp
    def sine(x):
        return jnp.sin(x)

    sine.defvjp(lambda x: (sine(x), x), lambda x, g: (g * jnp.cos(x),))

    def function(x):
        return jax.jit(jax.checkpoint(sine))(jax.nn.relu(x))

    assert operations(function, A) == {"max": 1, "sin": 1}
    assert operations(jax.grad(lambda x: function(x).sum()), A)["cos"] == 1


def test_program_scatter_is_one_operation():
    def gather(x):
        return x[jnp.array([0, 2, 2])].sum()

    assert operations(jax.grad(gather), A)["scatter-add"] == 1


def test_program_switch_counts_costliest_branch():
    branches = [jnp.sin, lambda x: jnp.cos(x) + x, jnp.tan]
    found = operations(lambda i, x: lax.switch(i, branches, x), 0, A)
    assert found["cos"] == found["add"] == 1 and not {"sin", "tan"} & found.keys()


def test_program_loop_of_unknown_length_raises_only_if_used():
    def loop(n):
        return lax.fori_loop(0, n, lambda i, x: x + 1.0, 0.0)

    program = programs.Program(jax.make_jaxpr(loop)(3))
    with pytest.raises(ValueError, match="known only when it runs"):
        program.flops()
    unneeded = jax.make_jaxpr(lambda n: (loop(n), jnp.sin(1.0 * n))[1])(3)
    assert programs.Program(unneeded).flops() == 2
